//! Many large mails at the same moment: they wait for each other where that costs nothing, and small mail waits for none of them.

use std::thread;
use std::time::{Duration, Instant};

use tests::peers::{Dovecot, await_within};
use tests::submit::{Talk, submitted, without_trace};

use super::super::{MEMORY_BYTES_MAX, Memory, PATIENCE, mail, nothing_rests, turn, two_sites};

const MAILS: usize = 12;
const OCTETS: usize = 20_000_000;

/// What a gateway may have of large mail in memory: while it comes in (`memory_bytes_max` of the section `smtp` below), and as much while it
/// is handed over.
const OPEN_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Submits it as a mail server does: what is put off is tried again.
fn submitted_in_the_end(server: std::net::SocketAddr, octets: &[u8]) {
    let end = Instant::now() + PATIENCE;
    loop {
        let talk = Talk::try_to(server);
        let reply = talk.and_then(|mut talk| talk.try_mail("alice@acme.test", "bob@globex.test", octets));
        // A newcomer is put off with a greeting, or in the middle.
        let reply = reply.unwrap_or_else(|| "421".to_owned());
        if reply.starts_with("250") {
            return;
        }
        assert!(reply.starts_with('4') && Instant::now() < end, "{reply}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn twelve_mails_of_20_mb_at_once_arrive_in_bounded_memory_and_a_small_one_overtakes_them() {
    let _turn = turn();
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    for site in [&sites.acme, &sites.globex] {
        site.set("smtp.memory_bytes_max", &OPEN_BYTES_MAX.to_string());
        // Fewer than mails, so that whoever counted those that wait would have no place left.
        site.set("delivery.connections_max", "4");
    }
    sites.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &mail("first", 2_000));
    dovecot.await_mail("bob", 1, PATIENCE);
    sites.settled();

    let mails: Vec<Vec<u8>> = (0..MAILS).map(|n| mail(&format!("large-{n}"), OCTETS)).collect();
    let (origin, destination) = (Memory::of(&sites.acme), Memory::of(&sites.globex));
    let server = sites.acme.smtp;
    thread::scope(|scope| {
        for octets in &mails {
            scope.spawn(move || submitted_in_the_end(server, octets));
        }
    });
    submitted(server, "alice@acme.test", &["bob@globex.test"], &mail("small", 2_000));
    let before = await_within(PATIENCE, "the small mail is there", || {
        let delivered = dovecot.mailbox("bob");
        let small = |mail: &Vec<u8>| mail.windows(7).any(|window| window == b"<small@");
        delivered.iter().filter(|mail| mail.len() < 10_000).any(small).then_some(delivered.len())
    });
    assert!(before < 2 + MAILS, "it waited for every large one");

    let delivered = dovecot.await_mail("bob", 2 + MAILS, PATIENCE);
    for octets in &mails {
        let arrived = delivered.iter().any(|mail| mail.len() > OCTETS && without_trace(mail) == *octets);
        assert!(arrived, "every one, octet for octet");
    }
    for (memory, stage) in
        [(&origin, "twelve taken and sent"), (&destination, "twelve arrived and handed over")]
    {
        let peak = memory.peak();
        eprintln!("{stage}: {:.1} MB", peak as f64 / 1e6);
        assert!(peak <= OPEN_BYTES_MAX + MEMORY_BYTES_MAX, "{stage}: {peak} bytes");
    }
    sites.settled();
    nothing_rests(&sites.acme);
    nothing_rests(&sites.globex);
}
