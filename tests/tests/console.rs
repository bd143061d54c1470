//! The console as an administrator has it in front of them: a real browser on a running gateway, and real clicks.
//!
//! ```text
//! carol: Chromium ─► acme /queue, /archive          alice: smtp-sink ◄─ reports ─ acme ✕ globex, which does not run
//! ```

use std::fs;
use std::io::Write;

use tests::peers::{Chromium, SmtpSink};
use tests::site::{PATIENCE, Site, eventually};
use tests::submit::{letter, submitted};

/// Acme, whose mail for globex waits, and carol at its console.
struct Desk {
    acme: Site,
    alices_mail: SmtpSink,
    carol: Chromium,
}

impl Desk {
    /// `prepare` is shown acme before it starts.
    fn open(prepare: impl Fn(&Site)) -> Self {
        let alices_mail = SmtpSink::start();
        let mut acme = Site::found("acme.test", &format!("smtp:127.0.0.1:{}", alices_mail.port()));
        acme.introduce(&Site::found("globex.test", "lmtp:127.0.0.1:9"));
        prepare(&acme);
        acme.start();
        Self { acme, alices_mail, carol: Chromium::start() }
    }

    fn mail(&self, message_id: &str) -> String {
        submitted(self.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(message_id, "Hello"))
    }

    /// Carol opens a page, and shows the token when the browser asks; the words of the page.
    fn show(&mut self, path: &str, words: &str) -> String {
        let token = fs::read_to_string(self.acme.folder().join("keys/control.token")).expect("a token");
        let token = token.trim().replace('/', "%2F"); // RFC 3986 §3.2.1
        self.carol.open(&format!("http://carol:{token}@{}{path}", self.acme.control));
        self.carol.await_words(words)
    }

    /// Carol chooses the message and presses the button of an order, with these words in a field; what she is told.
    fn order(&mut self, act: &str, queue_id: &str, field: Option<(&str, &str)>) -> String {
        self.show("/queue", "What to do with the chosen messages");
        self.carol.click(&format!("input[aria-label='Choose {queue_id}']"));
        if let Some((name, words)) = field {
            self.carol.write(&format!("input[name={name}]"), words);
        }
        self.carol.click(&format!("button[value={act}]"));
        self.carol.await_words("Back to")
    }

    /// The same until it is obeyed: a message that is in the courier's hands declines.
    fn obeyed(&mut self, act: &str, queue_id: &str, field: Option<(&str, &str)>) {
        eventually(&format!("{act} is obeyed"), || {
            self.order(act, queue_id, field).contains(&format!("{act}: 1 done")).then_some(())
        });
    }
}

#[test]
fn every_order_of_the_queue_is_given_with_the_mouse_and_noted_with_a_name() {
    let mut desk = Desk::open(|_| {});
    let [mail, other] = ["1@acme.test", "2@acme.test"].map(|id| desk.mail(id));
    // The page keeps itself fresh.
    desk.show("/queue", "globex.test");
    desk.acme.obeyed(&["hold", &other, "--by", "dave"]);
    desk.carol.await_words("by dave");
    desk.carol.click("#refresh");
    desk.carol.await_words("Paused");

    desk.obeyed("hold", &mail, Some(("why", "asked by alice")));
    assert!(desk.show("/queue?state=held", "by carol").contains("by dave"));
    desk.obeyed("release", &mail, None);
    desk.obeyed("retry", &mail, None);
    let told = eventually("the row rests", || {
        let told = desk.order("reroute", &mail, Some(("next_hop", "relay.test:25")));
        told.contains("sealed").then_some(told)
    });
    assert!(told.contains("reroute: 0 done") && told.contains(&mail), "{told}");
    desk.obeyed("expire", &mail, None);
    desk.acme.await_state(&mail, "expired");
    let unexplained = desk.order("drop", &other, None);
    assert!(unexplained.contains("say why"), "{unexplained}");
    desk.obeyed("drop", &other, Some(("why", "a test")));
    desk.acme.await_state(&other, "failed");

    desk.acme.settled();
    let reports = desk.alices_mail.await_messages(1, PATIENCE);
    assert!(reports.len() == 1 && String::from_utf8_lossy(&reports[0]).contains("1@acme.test"));
    let audit = desk.acme.command(&["queue", "audit"]);
    let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
    for act in ["hold", "release", "retry", "expire", "drop"] {
        assert!(audit.lines().any(|line| line.contains(act) && line.contains("carol")), "{act}: {audit}");
    }
    assert!(audit.contains("asked by alice"), "{audit}");
}

#[test]
fn a_legal_hold_is_made_and_lifted_by_hand() {
    let mut desk = Desk::open(|acme| {
        let office = tempfile::tempdir().expect("a folder");
        let out = office.path().to_str().expect("a path");
        let made = ["archive", "key", "create", "--shares", "3", "--threshold", "2", "--out", out];
        assert!(acme.command(&made).status.success());
        fs::copy(office.path().join("archive.pub"), acme.folder().join("archive.pub")).expect("a key");
        let config = fs::OpenOptions::new().append(true).open(acme.config());
        writeln!(config.expect("the configuration"), "\narchive:\n  key: archive.pub").expect("writable");
    });
    desk.show("/archive", "A new hold");
    for (field, words) in [("name", "case-7"), ("addresses", "globex.test"), ("why", "claim of globex")] {
        desk.carol.write(&format!("fieldset input[name={field}]"), words);
    }
    desk.carol.click("fieldset button");
    let page = desk.carol.await_words("case-7");
    assert!(page.contains("by carol: claim of globex"), "{page}");
    let lift = "form[action='/archive/holds/lift']";
    desk.carol.click(&format!("{lift} button"));
    desk.carol.write(&format!("{lift} input[name=why]"), "settled"); // or nothing is sent
    desk.carol.click(&format!("{lift} button"));
    desk.carol.await_words("No hold stands");
    let audit = String::from_utf8_lossy(&desk.acme.command(&["queue", "audit"]).stdout).into_owned();
    for fact in ["archive-hold", "archive-lift", "carol", "settled"] {
        assert!(audit.contains(fact), "{fact}: {audit}");
    }
}
