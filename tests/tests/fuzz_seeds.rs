//! Every decoder meets a committed corpus of real encodings and some thousand mutations of it, always the same ones.
//! `make fuzz` goes on from the same corpus with coverage as its guide.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use decoders::Target;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

// The library of the package in tests/fuzz. As a dependency Cargo would make it a member of this workspace, and with it
// libFuzzer a part of every build.
#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other users of the library are in its own package")]
mod decoders;

/// Mutations of each target's corpus: all of them together take seconds.
const MUTATIONS: usize = 2000;
/// Changes made to one seed at most.
const CHANGES_MAX: usize = 4;
/// The corpus is read by people and cloned by everybody.
const CORPUS_BYTES_MAX: u64 = 300 * 1024;
/// Octets that decoders find interesting: ends of ranges, line ends, CBOR and protobuf heads.
const OCTETS: [u8; 16] =
    [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x2e, 0x3c, 0x3e, 0x58, 0x59, 0x5f, 0x7f, 0x80, 0xa1, 0xf6, 0xff];

#[test]
fn every_target_has_seeds_and_every_seed_a_target() {
    let known: BTreeSet<String> = decoders::all().iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders = fs::read_dir(corpus()).expect("the corpus");
    let seeded: BTreeSet<String> =
        folders.map(|folder| folder.expect("a folder").file_name().into_string().expect("a name")).collect();
    assert_eq!(known, seeded);
    assert!(known.iter().all(|name| !seeds_of(name).is_empty()), "a target without seeds");
}

#[test]
fn every_seed_is_accepted_unless_its_name_says_that_it_is_refused() {
    for (name, accepts) in decoders::all() {
        for (file, seed) in seeds_of(name) {
            let refused = file.file_name().is_some_and(|seed| seed.to_string_lossy().starts_with("refused"));
            assert_eq!(accepts(&seed), !refused, "{}", file.display());
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let octets =
        decoders::all().iter().flat_map(|(name, _)| seeds_of(name)).map(|(_, seed)| seed.len() as u64);
    let octets: u64 = octets.sum();
    assert!(octets < CORPUS_BYTES_MAX, "the corpus has {octets} octets");
}

#[test]
fn no_seed_and_no_mutation_of_one_breaks_a_promise() {
    let waiting = Mutex::new(decoders::all().iter());
    let work = || {
        while let Some(target) = next(&waiting) {
            try_target(target);
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| _ = scope.spawn(work));
    });
}

fn next<'a>(waiting: &Mutex<impl Iterator<Item = &'a Target>>) -> Option<&'a Target> {
    waiting.lock().expect("nobody panics while choosing").next()
}

fn try_target(target: &Target) {
    let seeds: Vec<Vec<u8>> = seeds_of(target.0).into_iter().map(|(_, seed)| seed).collect();
    seeds.iter().for_each(|seed| hold(target, seed));
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..MUTATIONS {
        hold(target, &mutation(&seeds, &mut rng));
    }
}

/// Runs a target, and says which input broke its promise.
fn hold((name, run): &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        let file = std::env::temp_dir().join(format!("broken-{name}"));
        fs::write(&file, input).expect("the input is kept");
        panic!("the target {name} broke a promise on the {} octets in {}", input.len(), file.display());
    }
}

/// One of the seeds with a few small changes.
fn mutation(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut octets = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..=CHANGES_MAX) {
        change(&mut octets, seeds, rng);
    }
    octets
}

fn change(octets: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut StdRng) {
    let at = rng.random_range(0..=octets.len());
    let end = (at + rng.random_range(1..=16)).min(octets.len());
    let interesting = OCTETS[rng.random_range(0..OCTETS.len())];
    match (rng.random_range(0..7), octets.get_mut(at)) {
        (0, Some(octet)) => *octet ^= 1 << rng.random_range(0..8),
        (1, Some(octet)) => *octet = interesting,
        (2, Some(octet)) => *octet = octet.wrapping_add(if rng.random() { 1 } else { 255 }),
        (3, _) => octets.insert(at, interesting),
        (4, Some(_)) => _ = octets.drain(at..end),
        (5, Some(_)) => {
            let again = octets[at..end].to_vec();
            octets.splice(at..at, again);
        }
        _ => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            let from = rng.random_range(0..=other.len());
            octets.truncate(at);
            octets.extend_from_slice(&other[from..]);
        }
    }
}

fn seeds_of(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus().join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).expect("a seed"))).collect()
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}
