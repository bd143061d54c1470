use libp2p::identity::Keypair;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const CLOCK: UnixMillis = UnixMillis(1_800_000_000_000);
const SOON: Duration = Duration::from_secs(600);

struct Bench {
    link: Link,
    now: Instant,
    rng: StdRng,
    first: PeerId,
    second: PeerId,
}

/// A partner with two nodes; the link wants to act at once.
fn bench() -> Bench {
    let (first, second) = (peer(), peer());
    let records = [record(first, &["/ip4/192.0.2.1/tcp/1"]), record(second, &["/ip4/192.0.2.2/tcp/2"])];
    let now = Instant::now();
    let link = Link::new(1, &records, &Limits::default(), now, CLOCK);
    Bench { link, now, rng: StdRng::seed_from_u64(1), first, second }
}

fn peer() -> PeerId {
    Keypair::generate_ed25519().public().to_peer_id()
}

fn record(peer: PeerId, addresses: &[&str]) -> NodeRecord {
    let did = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
    NodeRecord {
        did,
        peer_id: peer.to_bytes(),
        addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        not_before: UnixMillis(0),
        expires: UnixMillis(u64::MAX),
    }
}

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn nobody(_: &PeerId) -> Option<ConnectionId> {
    None
}

fn address() -> Multiaddr {
    "/ip4/192.0.2.1/udp/1/quic-v1".parse().unwrap()
}

impl Bench {
    fn dialled(&mut self) -> Option<PeerId> {
        match self.link.next(self.now, nobody) {
            Step::Dial { peer, .. } => Some(peer),
            _ => None,
        }
    }

    fn bring_up(&mut self, on: ConnectionId) -> Attempt {
        assert_eq!(self.link.connected(self.first, on), Step::Open { peer: self.first, connection: on });
        let attempt = self.link.attempt();
        assert!(self.link.up(attempt, &address(), self.now, CLOCK));
        attempt
    }
}

#[test]
fn the_first_node_is_dialled_first_and_each_failure_moves_on() {
    let mut b = bench();
    assert_eq!(b.dialled(), Some(b.first));
    assert!(b.link.dial_failed(&b.first.clone(), "no".into(), b.now, &mut b.rng));
    assert_eq!(b.dialled(), None, "not before the delay is over");
    b.now += SOON;
    assert_eq!(b.dialled(), Some(b.second));
    assert!(b.link.dial_failed(&b.second.clone(), "no".into(), b.now, &mut b.rng));
    b.now += SOON;
    assert_eq!(b.dialled(), Some(b.first));
}

#[test]
fn an_open_connection_is_used_instead_of_dialling() {
    let mut b = bench();
    let second = b.second;
    let step = b.link.next(b.now, |peer| (*peer == second).then(|| connection(7)));
    assert_eq!(step, Step::Open { peer: second, connection: connection(7) });
}

#[test]
fn a_connection_that_comes_in_while_dialling_is_taken() {
    let mut b = bench();
    b.dialled();
    let step = b.link.connected(b.second, connection(7));
    assert_eq!(step, Step::Open { peer: b.second, connection: connection(7) });
    // The dialling fails later: that is no news any more.
    assert!(!b.link.dial_failed(&b.first.clone(), "no".into(), b.now, &mut b.rng));
    assert_eq!(b.link.connected(b.first, connection(8)), Step::Nothing);
}

#[test]
fn up_and_down_are_told_with_their_reasons() {
    let mut b = bench();
    let attempt = b.bring_up(connection(1));
    let state = b.link.state().clone();
    assert!(state.up && state.transport.as_deref() == Some("quic") && state.last_error.is_none());
    assert!(b.link.ended(attempt, "cut".into(), b.now, UnixMillis(5), &mut b.rng));
    let state = b.link.state();
    assert_eq!((state.up, state.since, state.last_error.as_deref()), (false, UnixMillis(5), Some("cut")));
    assert_eq!(state.address, None);
}

#[test]
fn late_news_of_an_older_attempt_is_not_believed() {
    let mut b = bench();
    let old = b.bring_up(connection(1));
    b.link.ended(old, "cut".into(), b.now, CLOCK, &mut b.rng);
    let new = b.bring_up(connection(2));
    assert!(!b.link.ended(old, "cut again".into(), b.now, CLOCK, &mut b.rng));
    assert!(!b.link.up(old, &address(), b.now, CLOCK));
    assert!(b.link.state().up && b.link.attempt() == new);
}

#[test]
fn a_connection_that_ends_before_the_stream_is_open_is_a_failure() {
    let mut b = bench();
    b.link.connected(b.first, connection(1));
    assert!(!b.link.connection_ended(connection(2), "other".into(), b.now, &mut b.rng));
    assert!(b.link.connection_ended(connection(1), "gone".into(), b.now, &mut b.rng));
    assert!(b.link.due().is_some());
}

#[test]
fn a_partner_without_addresses_waits_for_news() {
    let now = Instant::now();
    let first = peer();
    let mut link = Link::new(1, &[record(first, &[])], &Limits::default(), now, CLOCK);
    assert_eq!(link.next(now, nobody), Step::Nothing);
    assert_eq!(link.due(), None);
    assert!(link.state().last_error.is_some());

    link.heard(&first, &address(), now);
    assert!(matches!(link.next(now, nobody), Step::Dial { addresses, .. } if addresses == [address()]));
}

#[test]
fn announcements_about_strangers_and_floods_change_nothing() {
    let mut b = bench();
    b.dialled();
    b.link.dial_failed(&b.first.clone(), "no".into(), b.now, &mut b.rng);
    b.link.heard(&peer(), &address(), b.now);
    assert_eq!(b.dialled(), None);
    for port in 1..1000 {
        let address = format!("/ip4/192.0.2.9/tcp/{port}").parse().unwrap();
        b.link.heard(&b.second.clone(), &address, b.now);
    }
    let Step::Dial { peer, addresses } = b.link.next(b.now, nobody) else { panic!("fresh addresses") };
    assert_eq!((peer, addresses.len()), (b.second, 1 + HEARD_ADDRESSES_MAX));
}

#[test]
fn a_forgotten_announcement_is_not_dialled() {
    let mut b = bench();
    b.link.heard(&b.first.clone(), &address(), b.now);
    b.link.forgotten(&b.first.clone(), &address());
    assert!(matches!(b.link.next(b.now, nobody), Step::Dial { addresses, .. } if addresses.len() == 1));
}

#[test]
fn the_same_list_of_nodes_does_not_end_the_waiting() {
    let mut b = bench();
    b.dialled();
    b.link.dial_failed(&b.first.clone(), "no".into(), b.now, &mut b.rng);
    let records = [record(b.first, &["/ip4/192.0.2.1/tcp/1"]), record(b.second, &["/ip4/192.0.2.2/tcp/2"])];
    b.link.set_nodes(&records, b.now);
    assert_eq!(b.dialled(), None);
    let moved = [record(b.first, &["/ip4/192.0.2.3/tcp/3"]), record(b.second, &["/ip4/192.0.2.2/tcp/2"])];
    b.link.set_nodes(&moved, b.now);
    assert!(b.dialled().is_some());
}

#[test]
fn what_a_node_presents_adds_to_what_is_configured() {
    let mut b = bench();
    b.link.learn(&record(b.first, &[]), b.now);
    b.link.learn(&record(b.first, &["/ip4/192.0.2.4/tcp/4", "/ip4/192.0.2.4/tcp/4/ws"]), b.now);
    let Step::Dial { addresses, .. } = b.link.next(b.now, nobody) else { panic!("no dial") };
    let texts: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
    assert_eq!(texts, ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.4/tcp/4"]);
}

#[test]
fn a_partner_cannot_have_us_remember_nodes_without_end() {
    let mut b = bench();
    for _ in 0..1000 {
        b.link.learn(&record(peer(), &["/ip4/192.0.2.1/tcp/1"]), b.now);
    }
    assert_eq!(b.link.peers().count(), NODES_MAX);
}

#[test]
fn whoever_asks_sees_the_node_whose_turn_it_is_first() {
    let mut b = bench();
    let order = |link: &Link| link.nodes().map(|(peer, _)| peer).collect::<Vec<_>>();
    assert_eq!(order(&b.link), [b.first, b.second]);
    b.dialled();
    b.link.dial_failed(&b.first.clone(), "no".into(), b.now, &mut b.rng);
    assert_eq!(order(&b.link), [b.second, b.first]);
    assert_eq!(b.link.connection(), None);
    b.bring_up(connection(7));
    assert_eq!(b.link.connection(), Some(connection(7)));
    b.link.set_nodes(&[], b.now);
    assert!(order(&b.link).is_empty());
}
