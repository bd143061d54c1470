//! Loopback ports for servers that cannot tell which one they got.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range that the kernel gives to outgoing connections (32768 and up), so that no connection of
/// another test takes the port between our look and the server's bind.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Test processes that run side by side begin to look at different places.
const STRIDE_PER_PROCESS: u32 = 131;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port on 127.0.0.1 that nobody listens on; handed out once in this process.
pub fn free_port() -> u16 {
    let start = (process::id().wrapping_mul(STRIDE_PER_PROCESS) % u32::from(COUNT)) as u16;
    let mut candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        FIRST + (start + step) % COUNT
    });
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    candidates.find(free).expect("a free port on loopback")
}
