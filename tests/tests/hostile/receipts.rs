//! Receipts from somebody who has no say: a partner's word settles only what was sealed to that partner.

use dccp::receipt::{self, Action, Outcome, Receipt};
use rusqlite::{Connection, OpenFlags};
use tests::mallory::{Mallory, now};
use tests::peers::SmtpSink;
use tests::site::{PATIENCE, Site, TwoSites, eventually};
use tests::submit::{letter, submitted};
use uuid::Uuid;

use crate::{NOWHERE, Scene, journal_on_mallory};

const MALLORY: &str = "m@mallory.test";

/// What the origin remembers of the mail that waits for its receipt: more than a forger could know.
fn waiting_at(site: &Site) -> (Uuid, [u8; 32]) {
    let database = site.data().join("gateway.db");
    let database =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the spool");
    let mut rows =
        database.prepare("SELECT id, digest FROM rows WHERE direction = 0 AND state = 1").expect("rows");
    let found = rows.query_row([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let (id, digest) = found.expect("one mail that was sent");
    (Uuid::from_slice(&id).expect("an id"), digest.try_into().expect("a digest"))
}

fn word(message_id: Uuid, digest: [u8; 32], action: Action) -> Receipt {
    word_about("bob@globex.test", message_id, digest, action)
}

fn word_about(recipient: &str, message_id: Uuid, digest: [u8; 32], action: Action) -> Receipt {
    let status = if action == Action::Delivered { "2.1.5" } else { "5.1.1" };
    let outcome = Outcome {
        recipient: recipient.to_owned(),
        action,
        status: status.to_owned(),
        diagnostic: "so says mallory".to_owned(),
    };
    Receipt { message_id, digest, time: now(), outcomes: vec![outcome] }
}

/// Batches of receipts whose signed octets `site` keeps.
fn evidence_at(site: &Site) -> i64 {
    let database = site.data().join("gateway.db");
    let database =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the spool");
    database.query_row("SELECT count(*) FROM evidence", [], |row| row.get(0)).expect("a count")
}

/// Waits until `site` has read so many batches of mallory's.
fn await_batches(site: &Site, count: usize) {
    eventually("the batches are read", || {
        let inbound = journal_on_mallory(site);
        (inbound.iter().filter(|reasons| reasons.contains("receipt")).count() == count).then_some(())
    });
}

#[test]
fn a_third_party_cannot_settle_a_mail_between_two_others() {
    let mail_server = tests::peers::free_port();
    let mut sites = TwoSites::found(NOWHERE, &format!("smtp:127.0.0.1:{mail_server}"));
    sites.globex.set("queue.retry_delay_ms_max", "1000");
    let mallory = Mallory::among(&[&sites.acme]);
    sites.start();
    mallory.await_links();
    submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("contested@acme.test", "Hello"),
    );
    sites.acme.await_state("contested@acme.test", "sent");
    let (id, digest) = waiting_at(&sites.acme);

    let key = mallory.prekey_of(&sites.acme);
    let forged = [
        vec![word(id, digest, Action::Delivered)],
        vec![word(id, digest, Action::Failed)],
        vec![word(Uuid::nil(), digest, Action::Failed)],
        (0..256).map(|_| word(Uuid::now_v7(), rand::random(), Action::Failed)).collect(),
    ];
    let mut payloads: Vec<Vec<u8>> = forged.iter().map(|receipts| receipt::encode(receipts)).collect();
    payloads.push(b"\xff\xff no receipts at all".to_vec());
    let count = payloads.len();
    for payload in payloads {
        let batch = mallory.seal(&mallory.draft(&key, receipt::CONTENT_TYPE, payload), &key);
        mallory.send(&sites.acme, batch).expect("kept");
    }
    await_batches(&sites.acme, count);
    let trace = sites.acme.trace("contested@acme.test").expect("a trace")["messages"][0].clone();
    assert_eq!(trace["state"], "sent", "only globex can say what became of it: {trace}");
    assert_eq!(evidence_at(&sites.acme), 0, "words that mean nothing here do not fill the disk");

    let sink = SmtpSink::start_on(mail_server);
    sites.acme.await_state("contested@acme.test", "delivered");
    Scene { sites, sink }.ends_well(1);
}

/// Mallory really is the recipient here, and says everything but what became of the mail.
#[test]
fn a_receipt_that_says_nothing_final_settles_nothing() {
    let alices_mail = SmtpSink::start();
    let (mut scene, mut mallory) =
        Scene::with_mallory_at_acme(&format!("smtp:127.0.0.1:{}", alices_mail.port()));
    let acme = &mut scene.sites.acme;
    submitted(acme.smtp, "alice@acme.test", &[MALLORY], &letter("to-mallory@acme.test", "Hello"));
    let sealed = mallory.next_arrival();
    let (id, digest) = (mallory.message_id_of(&sealed), sealed.digest());
    acme.await_state("to-mallory@acme.test", "sent");

    let silent = Receipt { outcomes: Vec::new(), ..word(id, digest, Action::Delivered) };
    let empty_words = [
        silent,
        word_about(MALLORY, id, digest, Action::Delayed),
        word_about(MALLORY, id, [0; 32], Action::Delivered),
        word_about(MALLORY, Uuid::now_v7(), digest, Action::Delivered),
    ];
    for (n, receipt) in empty_words.into_iter().enumerate() {
        mallory.say_receipts(acme, &[receipt]);
        await_batches(acme, n + 1);
        let trace = acme.trace("to-mallory@acme.test").expect("a trace")["messages"][0].clone();
        assert_eq!(trace["state"], "sent", "word {n}: {trace}");
    }

    // Contradictory words in one batch: the first final one counts, and alice hears of it once.
    mallory.say_receipts(
        acme,
        &[
            word_about("", Uuid::nil(), digest, Action::Failed),
            word_about(MALLORY, id, digest, Action::Delivered),
        ],
    );
    acme.await_state("to-mallory@acme.test", "failed");
    let reports = alices_mail.await_messages(1, PATIENCE);
    let report = String::from_utf8_lossy(&reports[0]).into_owned();
    assert!(report.contains(MALLORY) && report.contains("so says mallory"), "{report}");
    assert_eq!(evidence_at(acme), 1, "of the batch that ended it");
    acme.settled();
    assert_eq!(alices_mail.messages().len(), 1);
    scene.ends_well(0);
}
