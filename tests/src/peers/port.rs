//! Loopback ports for servers that cannot tell which one they got.

use std::{
    fs::{self, File, Permissions},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the range that the kernel gives to outgoing connections (32768 and up), so that no connection of
/// another test takes the port between our look and the server's bind.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Test processes that run side by side begin to look at different places.
const STRIDE_PER_PROCESS: u32 = 131;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A locked file for each port that this process has, to its end: a server may go and come back at any time.
static OURS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nobody listens on, by TCP or UDP, and that is nobody else's while this process lives.
pub fn free_port() -> u16 {
    let start = (process::id().wrapping_mul(STRIDE_PER_PROCESS) % u32::from(COUNT)) as u16;
    let mut candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        FIRST + (start + step) % COUNT
    });
    candidates.find(|port| reserve(*port) && is_free(*port)).expect("a free port on loopback")
}

/// Whether the port is ours from now on; other test processes ask in the same way.
fn reserve(port: u16) -> bool {
    let file = File::options().create(true).append(true).open(folder().join(port.to_string()));
    let Ok(file) = file else { return false }; // another user's
    let is_ours = file.try_lock().is_ok();
    if is_ours {
        OURS.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }
    is_ours
}

fn is_free(port: u16) -> bool {
    let here = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(here).is_ok() && UdpSocket::bind(here).is_ok()
}

/// Of all test processes of this machine, whoever runs them.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join("dccp-test-ports");
    if fs::create_dir(&folder).is_ok() {
        fs::set_permissions(&folder, Permissions::from_mode(0o1777)).expect("our own folder");
    }
    folder
}
