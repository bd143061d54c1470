//! Ctrl-C, or being told to end: nothing that was started may stay behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{proc, tools};

/// What a mail server may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// The exit code of a program that Ctrl-C ended, as shells give it.
const INTERRUPTED: i32 = 130;

/// From now on SIGINT and SIGTERM end everything that was started, remove `ground` and end the bench.
pub fn clean_up_when_told(ground: PathBuf) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(told());
        end_children();
        _ = std::fs::remove_dir_all(&ground);
        std::process::exit(INTERRUPTED);
    });
}

async fn told() {
    let listen = |kind: SignalKind| -> Signal { signal(kind).expect("a signal handler") };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Asks everything below this process to end, and insists after a moment.
fn end_children() {
    let me = std::process::id();
    let children: Vec<u32> = proc::tree(me).into_iter().filter(|&pid| pid != me).collect();
    tools::signal_all("TERM", &children);
    let deadline = Instant::now() + GRACE;
    while children.iter().any(|&pid| proc::is_alive(pid)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    tools::signal_all("KILL", &children);
}
