//! Every byte between two nodes is protected by TLS 1.3 with X25519MLKEM768. Proved, not assumed.

use std::process::Command;

use libp2p::identity::Keypair;
use overlay::{StartError, start};
use prometheus_client::registry::Registry;
use rustls::{ClientConnection, NamedGroup, ProtocolVersion, ServerConnection};

use crate::fixture::{Org, config_of, now, prepare, quick, two_nodes_on_a_road};

const X25519MLKEM768: u16 = 0x11ec;
const TLS_1_3: u16 = 0x0304;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const EXTENSION_KEY_SHARE: u16 = 51;

#[test]
fn the_tls_that_libp2p_configures_agrees_on_x25519mlkem768() {
    prepare();
    let (client, server) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let client_config = libp2p_tls::make_client_config(&client, Some(server.public().to_peer_id()));
    let server_config = libp2p_tls::make_server_config(&server);
    let name = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let name = rustls::pki_types::ServerName::IpAddress(name.into());
    let mut client = ClientConnection::new(client_config.expect("client").into(), name).expect("client");
    let mut server = ServerConnection::new(server_config.expect("server").into()).expect("server");

    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("in memory");
        }
        feed(&wire, |rest| server.read_tls(rest));
        server.process_new_packets().expect("server accepts");
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("in memory");
        }
        feed(&wire, |rest| client.read_tls(rest));
        client.process_new_packets().expect("client accepts");
    }
    let group = client.negotiated_key_exchange_group().expect("agreed").name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(server.negotiated_key_exchange_group().expect("agreed").name(), group);
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

fn feed(wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>) {
    let mut rest = wire;
    while !rest.is_empty() {
        read(&mut rest).expect("in memory");
    }
}

#[tokio::test]
async fn two_live_nodes_choose_x25519mlkem768_on_the_wire() {
    let (_acme, _globex, road) = two_nodes_on_a_road().await;

    let hello = ServerHello::find(&road.answers());
    assert_eq!(hello.version, TLS_1_3);
    assert_eq!(hello.group, X25519MLKEM768);
}

/// What a ServerHello says about version and key exchange (RFC 8446 §4.1.3).
struct ServerHello {
    version: u16,
    group: u16,
}

impl ServerHello {
    /// The first TLS record in what a server said, behind the words of multistream-select.
    fn find(said: &[u8]) -> ServerHello {
        let tls = b"/tls/1.0.0\n";
        let at = said.windows(tls.len()).position(|window| window == tls).expect("TLS was selected");
        let mut record = Reader(&said[at + tls.len()..]);
        assert_eq!(record.number(1), 22, "a handshake record");
        assert_eq!(record.number(2), 0x0303);
        let mut handshake = Reader(record.vector(2));
        assert_eq!(handshake.number(1), 2, "a ServerHello");
        let mut body = Reader(handshake.vector(3));
        body.take(2 + 32); // legacy_version, random
        body.vector(1); // legacy_session_id_echo
        body.take(2 + 1); // cipher_suite, legacy_compression_method
        let mut extensions = Reader(body.vector(2));
        let (mut version, mut group) = (0, 0);
        while !extensions.0.is_empty() {
            let kind = extensions.number(2) as u16;
            let mut content = Reader(extensions.vector(2));
            match kind {
                EXTENSION_SUPPORTED_VERSIONS => version = content.number(2) as u16,
                EXTENSION_KEY_SHARE => group = content.number(2) as u16,
                _ => {}
            }
        }
        ServerHello { version, group }
    }
}

/// Big-endian numbers and length-prefixed vectors, as RFC 8446 §3 writes them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self, octets: usize) -> usize {
        self.take(octets).iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
    }

    fn vector(&mut self, length_octets: usize) -> &'a [u8] {
        let length = self.number(length_octets);
        self.take(length)
    }
}

/// The environment is the process's: the test runs itself again with the variable set.
#[test]
fn a_node_refuses_to_start_where_tls_keys_would_be_logged() {
    const NAME: &str = "post_quantum::a_node_refuses_to_start_where_tls_keys_would_be_logged";
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return refuses();
    }
    let again = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", NAME])
        .env("SSLKEYLOGFILE", "/dev/null")
        .output()
        .expect("ran");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}

fn refuses() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let org = Org::found("acme", 1);
        let config = config_of(&org, &[], quick());
        let house = crate::fixture::TestHouse::build().0;
        let started = start(config, org.hello(&[]), vec![], house, &mut Registry::default(), now).await;
        let Err(error @ StartError::KeyLogRequested) = started else { panic!("it started") };
        assert!(error.to_string().contains("SSLKEYLOGFILE"));
    });
}
