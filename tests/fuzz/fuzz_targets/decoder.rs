//! One program for all targets: `DECODER=frame cargo fuzz run decoder corpus/frame`.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8]) -> bool> = LazyLock::new(|| {
    let name = std::env::var("DECODER").unwrap_or_default();
    let target = fuzz::all().iter().find(|(known, _)| *known == name);
    let names = || fuzz::all().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    target.unwrap_or_else(|| panic!("DECODER={name}: choose one of {}", names())).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    TARGET(data);
});
