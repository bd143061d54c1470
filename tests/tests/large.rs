//! Large mail: 50 MB cross two gateways byte for byte, rest once however many organisations they go to, and cost each gateway
//! one buffer of memory; archived, for an agent, or many at once.

mod large {
    mod agents;
    mod archived;
    mod many;
}

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::spool::{LargeCounts, Spool, SpoolConfig};
use tests::peers::{Dns, Dovecot, SmtpSink, Zone, await_within};
use tests::site::{Site, TwoSites};
use tests::submit::{submitted, without_trace};

/// The mail of the promise.
const MAIL_OCTETS: usize = 50_000_000;

/// What each stage may need for it, beyond what the gateway needs anyway.
const MEMORY_BYTES_MAX: u64 = 64_000_000;

/// A debug build reads, seals, hashes and writes 50 MB slowly; nothing here depends on how slowly.
const PATIENCE: Duration = Duration::from_secs(300);

/// These tests take turns: what a gateway holds of a stream depends on how fast the machine lets it write.
static TURN: Mutex<()> = Mutex::new(());

/// The turn of one test; another that failed in its own is no reason not to run.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mail of so many octets, lines of base64 with a dot here and there, no two alike.
fn mail(name: &str, octets: usize) -> Vec<u8> {
    let mut mail = format!(
        "From: alice@acme.test\r\nTo: bob@globex.test\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\
         Message-ID: <{name}@acme.test>\r\nSubject: large\r\n\r\n"
    )
    .into_bytes();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while mail.len() < octets - 80 {
        let line: [u64; 4] = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        });
        let dot = if line[0].is_multiple_of(50) { "." } else { "" };
        mail.extend_from_slice(
            format!("{dot}{:016x}{:016x}{:016x}{:016x}\r\n", line[0], line[1], line[2], line[3]).as_bytes(),
        );
    }
    mail.extend_from_slice(&vec![b'x'; octets - mail.len() - 2]);
    mail.extend_from_slice(b"\r\n");
    mail
}

/// What a process needs at most, from a moment on.
struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    /// From now on.
    fn of(site: &Site) -> Self {
        let pid = site.pid();
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak is reset (proc(5), clear_refs)");
        Self { pid, before: status(pid, "VmRSS:").expect("a process") }
    }

    /// The most since then, beyond what it had.
    fn peak(&self) -> u64 {
        status(self.pid, "VmHWM:").expect("a process").saturating_sub(self.before)
    }

    fn is_within_the_promise(&self, stage: &str) {
        let peak = self.peak();
        eprintln!("{stage}: {:.1} MB beyond {:.1} MB", peak as f64 / 1e6, self.before as f64 / 1e6);
        assert!(peak <= MEMORY_BYTES_MAX, "{stage}: {peak} bytes");
    }
}

/// A field of `/proc/PID/status`, in octets; none of a process that has ended.
fn status(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// The large bodies in the spool of a site, from beside it.
fn at_rest(site: &Site) -> LargeCounts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let path = site.data().join("gateway.db");
        let (spool, guard) = Spool::open_offline(path, SpoolConfig::default()).expect("the spool");
        let counts = spool.large_counts().await.expect("a count");
        guard.close().await;
        counts
    })
}

fn takes_large_mail(site: &Site) {
    site.set("size_bytes_max", "52428800");
}

fn two_sites(dovecot: &Dovecot) -> TwoSites {
    let sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    for site in [&sites.acme, &sites.globex] {
        takes_large_mail(site);
        site.set("queue.retry_delay_ms_max", "1000");
    }
    sites
}

fn arrives_as_it_was(dovecot: &Dovecot, count: usize, sent: &[u8]) {
    let delivered = dovecot.await_mail("bob", count, PATIENCE);
    let octets = delivered.iter().map(|mail| without_trace(mail)).find(|octets| octets.len() > 1_000_000);
    assert!(octets.expect("the large one") == sent, "the octets are sacred");
}

fn nothing_rests(site: &Site) {
    await_within(PATIENCE, "the large bodies are gone", || {
        (at_rest(site) == LargeCounts::default()).then_some(())
    });
}

#[test]
fn a_mail_of_50_mb_crosses_two_gateways_in_64_mb_of_memory_each() {
    let _turn = turn();
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    sites.start();
    // Whatever is set up once is there.
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &mail("small", 2_000));
    dovecot.await_mail("bob", 1, PATIENCE);
    sites.settled();

    let octets = mail("large", MAIL_OCTETS);
    let (origin, destination) = (Memory::of(&sites.acme), Memory::of(&sites.globex));
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    origin.is_within_the_promise("taken and sealed");
    arrives_as_it_was(&dovecot, 2, &octets);
    origin.is_within_the_promise("taken, sealed and sent");
    destination.is_within_the_promise("arrived, opened and handed over");
    await_within(PATIENCE, "all is settled", || {
        (sites.acme.unsettled() + sites.globex.unsettled() == 0).then_some(())
    });
    nothing_rests(&sites.acme);
    nothing_rests(&sites.globex);
}

#[test]
fn a_mail_of_50_mb_survives_the_death_of_the_receiving_gateway_in_the_middle() {
    let _turn = turn();
    let dovecot = Dovecot::start();
    let mut sites = two_sites(&dovecot);
    sites.start();
    let octets = mail("interrupted", MAIL_OCTETS);
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    await_within(PATIENCE, "a part of it has arrived", || {
        (at_rest(&sites.globex).coming.bytes > 5_000_000).then_some(())
    });
    sites.globex.kill();
    let arrived = at_rest(&sites.globex);
    assert_eq!((arrived.coming.rows, arrived.kept.rows), (1, 0), "in the middle");
    sites.globex.start();
    arrives_as_it_was(&dovecot, 1, &octets);
    await_within(PATIENCE, "all is settled", || {
        (sites.acme.unsettled() + sites.globex.unsettled() == 0).then_some(())
    });
    assert_eq!(dovecot.mailbox("bob").len(), 1, "once");
}

#[test]
fn a_mail_of_50_mb_to_three_organisations_and_the_outside_rests_once() {
    let _turn = turn();
    let (dovecot, outside) = (Dovecot::start(), SmtpSink::start());
    let mut sites = two_sites(&dovecot);
    let strangers = ["initech.test", "hooli.test"].map(|domain| Site::found(domain, "lmtp:127.0.0.1:9"));
    strangers.iter().for_each(|other| sites.acme.introduce(other));
    let zone = Zone::signed("outside.test").record("@", "MX", "10 mx.outside.test.");
    let dns = Dns::start(&[zone.record("mx", "A", "127.0.0.1")]);
    sites.acme.set("dns_servers", &format!("[\"{}\"]", dns.address()));
    sites.acme.set("dns_trust_anchor", dns.trust_anchor().to_str().expect("a path"));
    sites.acme.set("allow_private_addresses", "true");
    sites.acme.set("outside.policy", "opportunistic");
    sites.acme.set("outside.port", &outside.port().to_string());
    sites.acme.start();

    let octets = mail("many", MAIL_OCTETS);
    let to = ["bob@globex.test", "carol@initech.test", "dave@hooli.test", "olive@outside.test"];
    let origin = Memory::of(&sites.acme);
    submitted(sites.acme.smtp, "alice@acme.test", &to, &octets);
    let LargeCounts { coming, kept, over } = at_rest(&sites.acme);
    assert_eq!((coming.rows, kept.rows, over.rows), (0, 1, 0), "one body");
    assert!(kept.bytes < MAIL_OCTETS as u64 * 103 / 100, "{kept:?}");

    // The sink keeps LF line ends, and writes while it reads.
    let sent: Vec<u8> = octets.iter().copied().filter(|octet| *octet != b'\r').collect();
    await_within(PATIENCE, "olive has it, byte for byte", || {
        outside
            .messages()
            .iter()
            .any(|kept| kept.trim_ascii_end().ends_with(sent.trim_ascii_end()))
            .then_some(())
    });
    origin.is_within_the_promise("taken, sealed, and relayed to the outside");

    sites.globex.start();
    arrives_as_it_was(&dovecot, 1, &octets);
    sites.globex.settled();
    assert_eq!(at_rest(&sites.acme).kept.rows, 1, "two organisations have not got it");
    sites.acme.may_leave_mail();
}

#[test]
fn a_large_mail_to_ten_thousand_recipients_rests_once_and_costs_no_more_memory() {
    let _turn = turn();
    let mut sites = two_sites(&Dovecot::start());
    sites.acme.set("recipients_max", "10000");
    sites.acme.start();
    let to: Vec<String> = (0..10_000).map(|number| format!("p{number}@globex.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let origin = Memory::of(&sites.acme);
    submitted(sites.acme.smtp, "alice@acme.test", &to, &mail("everybody", 5_000_000));
    origin.is_within_the_promise("taken and sealed for ten thousand");
    assert_eq!(at_rest(&sites.acme).kept.rows, 1, "one body for ten messages");
    sites.acme.may_leave_mail();
}

#[test]
fn a_gateway_gives_large_buffers_back_however_it_is_started() {
    let mut site = Site::found("acme.test", "smtp:127.0.0.1:9");
    site.start_under(&["env", "-u", "MALLOC_MMAP_THRESHOLD_"]);
    site.await_ready();
    let environment = std::fs::read(format!("/proc/{}/environ", site.pid())).expect("its environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("MALLOC_MMAP_THRESHOLD_=131072"), "{environment}");
    assert!(site.terminate().success());
}
