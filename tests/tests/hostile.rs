//! Bad input gets a clear refusal, and the gateway goes on: every test ends with an honest mail that must arrive.

mod hostile {
    mod overlay_port;
    mod partner;
    mod receipts;
    mod sealed;
    mod smtp_port;
    mod smuggling;
}

use std::time::Duration;

use serde_json::Value;
use tests::mallory::Mallory;
use tests::peers::SmtpSink;
use tests::site::{PATIENCE, Site, TwoSites, eventually};
use tests::submit::{letter, submitted};

/// Where acme's mail server would be; nothing is delivered there.
const NOWHERE: &str = "lmtp:127.0.0.1:9";

/// How long a mail that must not exist is given to appear after everything has settled.
const AFTERMATH: Duration = Duration::from_millis(300);

/// Acme, globex and the mail server of globex, which keeps what it gets.
struct Scene {
    sites: TwoSites,
    sink: SmtpSink,
}

impl Scene {
    /// Founded; to be changed before [`start`](Self::start).
    fn found() -> Self {
        Self::found_with(SmtpSink::start())
    }

    /// Founded, with this mail server at globex.
    fn found_with(sink: SmtpSink) -> Self {
        let sites = TwoSites::found(NOWHERE, &format!("smtp:127.0.0.1:{}", sink.port()));
        Self { sites, sink }
    }

    /// Founded and started.
    fn start() -> Self {
        let mut scene = Self::found();
        scene.sites.start();
        scene
    }

    /// Founded and started, with mallory.test as a partner of globex.
    fn with_mallory() -> (Self, Mallory) {
        let mut scene = Self::found();
        let mallory = Mallory::among(&[&scene.sites.globex]);
        scene.sites.start();
        mallory.await_links();
        (scene, mallory)
    }

    /// Founded and started, with mallory.test as a partner of acme, whose mail server is at `deliver`.
    fn with_mallory_at_acme(deliver: &str) -> (Self, Mallory) {
        let sink = SmtpSink::start();
        let sites = TwoSites::found(deliver, &format!("smtp:127.0.0.1:{}", sink.port()));
        let mut scene = Self { sites, sink };
        let mallory = Mallory::among(&[scene.acme()]);
        scene.sites.start();
        mallory.await_links();
        (scene, mallory)
    }

    fn acme(&self) -> &Site {
        &self.sites.acme
    }

    fn globex(&self) -> &Site {
        &self.sites.globex
    }

    /// The end of every test: an honest mail crosses, `others` mails were delivered beside it and not one more, nothing
    /// is left to do, and nobody panicked on the way. Gives all mails delivered, as text.
    fn ends_well(self, others: usize) -> Vec<String> {
        submitted(
            self.acme().smtp,
            "alice@acme.test",
            &["bob@globex.test"],
            &letter("honest@acme.test", "An honest mail"),
        );
        self.acme().await_state("honest@acme.test", "delivered");
        self.sites.settled();
        std::thread::sleep(AFTERMATH);
        let delivered: Vec<String> = self
            .sink
            .await_messages(others + 1, PATIENCE)
            .iter()
            .map(|mail| String::from_utf8_lossy(mail).into_owned())
            .collect();
        assert_eq!(delivered.len(), others + 1, "{delivered:#?}");
        assert_eq!(
            delivered.iter().filter(|mail| mail.contains("An honest mail")).count(),
            1,
            "{delivered:#?}"
        );
        for site in [self.acme(), self.globex()] {
            let log = site.log();
            assert!(!log.contains("panicked"), "{} panicked:\n{log}", site.domain);
        }
        delivered
    }
}

/// Waits until `site` has refused to open `count` messages.
fn await_unopened(site: &Site, count: usize) {
    eventually(
        &format!("{} has given up {count} messages, of {}", site.domain, site.metric("dccp_unopened_total")),
        || (site.metric("dccp_unopened_total") as usize >= count).then_some(()),
    );
    assert_eq!(site.metric("dccp_unopened_total") as usize, count);
}

/// What the journal of `site` says about messages that mallory.test brought: the reasons of each, newest first.
fn journal_on_mallory(site: &Site) -> Vec<String> {
    let (code, body) = site.get("/api/v1/messages?partner=mallory.test&limit=500");
    assert_eq!(code, 200, "{body}");
    let page: Value = serde_json::from_str(&body).expect("JSON");
    let rows =
        page["messages"].as_array().expect("messages").iter().filter(|row| row["direction"] == "inbound");
    let reasons = |row: &Value| -> String {
        let trace = site.trace(row["queue_id"].as_str().expect("a queue id")).expect("a trace");
        let stages = trace["messages"][0]["stages"].as_array().expect("stages").clone();
        let word = |stage: &Value, key: &str| stage[key].as_str().unwrap_or_default().to_owned();
        let stages =
            stages.iter().map(|stage| format!("{}: {}", word(stage, "stage"), word(stage, "reason")));
        stages.collect::<Vec<_>>().join("\n")
    };
    rows.map(reasons).collect()
}
