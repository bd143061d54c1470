//! The overlay port: strangers, noise and crowds. The link between acme and globex is not impressed.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use tests::site::{Site, loopback};

use crate::Scene;

/// multistream-select up to the choice of TLS, as libp2p dialers write it.
const CHOOSE_TLS: &[u8] = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";

/// A TLS record header that promises 512 octets of ClientHello, and its first octets.
const HALF_CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a hello";

fn knock(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(loopback(site.overlay_port)).expect("the overlay port");
    stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    stream
}

fn garbage(length: usize) -> Vec<u8> {
    (0..length).map(|_| rand::random()).collect()
}

#[test]
fn garbage_by_tcp_is_hung_up_on() {
    let scene = Scene::start();
    for length in [1, 20, 1_000, 100_000] {
        // Hung up on, maybe before everything was written.
        _ = knock(scene.globex()).write_all(&garbage(length));
        _ = knock(scene.globex()).write_all(&[CHOOSE_TLS, &garbage(length)].concat());
    }
    _ = knock(scene.globex()).write_all(b"GET / HTTP/1.1\r\nHost: globex.test\r\n\r\n");
    _ = knock(scene.globex()).write_all(&[0xff; 4_096]);
    scene.ends_well(0);
}

#[test]
fn garbage_by_udp_is_dropped() {
    let scene = Scene::start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for n in 0..1_000_usize {
        let mut datagram = garbage(n % 1_400 + 1);
        match n % 4 {
            // A QUIC long header of version 1 with a broken Initial packet behind it (RFC 9000 §17.2.2).
            0 => [0xc3, 0, 0, 0, 1, 8].iter().zip(&mut datagram).for_each(|(from, to)| *to = *from),
            // A version that nobody speaks (RFC 9000 §6).
            1 => [0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 20]
                .iter()
                .zip(&mut datagram)
                .for_each(|(from, to)| *to = *from),
            // A short header for a connection that does not exist.
            2 => datagram[0] = 0x40,
            _ => {}
        }
        socket.send_to(&datagram, loopback(scene.globex().overlay_port)).expect("a datagram");
    }
    scene.ends_well(0);
}

/// More than may shake hands at one time, so that the door is shut until they are hung up on.
#[test]
fn half_a_handshake_is_not_waited_for_for_ever() {
    let mut scene = Scene::start();
    let half = |_| {
        let mut half = knock(scene.globex());
        half.write_all(&[CHOOSE_TLS, HALF_CLIENT_HELLO].concat()).expect("half a hello");
        half
    };
    let halves: Vec<TcpStream> = (0..100).map(half).collect();
    // A partner that comes back while they hang gets in all the same.
    assert!(scene.sites.acme.terminate().success());
    scene.sites.acme.start();
    scene.acme().await_links();
    scene.ends_well(0);
    drop(halves);
}

#[test]
fn a_crowd_of_short_connections_does_not_keep_partners_out() {
    let mut scene = Scene::start();
    for n in 0..500 {
        let mut stream = knock(scene.globex());
        if n % 2 == 0 {
            _ = stream.write_all(CHOOSE_TLS);
        }
    }
    assert!(scene.sites.acme.terminate().success());
    scene.sites.acme.start();
    scene.acme().await_links();
    scene.ends_well(0);
}
