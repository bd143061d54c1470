//! What an operator sees of a running gateway: probes, metrics, the control API, the trace on the command line, the
//! console. All of it is asked of real gateways after a real mail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tests::peers::Dovecot;
use tests::site::{PATIENCE, Site, TwoSites};
use tests::submit::{letter, submit, submitted};

/// An answer of the control listener.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks exactly this; the connection closes after the answer.
fn ask(at: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(at).expect("the control listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole).expect("an answer");
    let whole = String::from_utf8_lossy(&whole).into_owned();
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// `GET` with these header lines, each ending in CRLF.
fn get_with(site: &Site, path: &str, header: &str) -> Answer {
    ask(site.control, &format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{header}\r\n"))
}

fn token(site: &Site) -> String {
    let token = std::fs::read_to_string(site.folder().join("keys/control.token")).expect("a token");
    token.trim().to_owned()
}

/// Acme and globex, up and connected, and the Dovecot that is both mail servers.
fn connected() -> (TwoSites, Dovecot) {
    let mailboxes = Dovecot::start();
    let lmtp = format!("lmtp:127.0.0.1:{}", mailboxes.lmtp_port());
    let mut sites = TwoSites::found(&lmtp, &lmtp);
    sites.start();
    (sites, mailboxes)
}

/// A mail from alice to bob that has arrived, and its queue id at acme.
fn delivered(sites: &TwoSites, message_id: &str) -> String {
    let queue_id =
        submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(message_id, "Hello"));
    sites.acme.await_state(&queue_id, "delivered");
    sites.settled();
    queue_id
}

#[test]
fn the_probes_answer_anyone_and_readiness_is_said_in_words() {
    let (sites, _mailboxes) = connected();
    let host = format!("Host: {}\r\n", sites.acme.control);
    let healthy = get_with(&sites.acme, "/healthz", &host);
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    let ready = get_with(&sites.acme, "/readyz", &host);
    assert_eq!(ready.status, 200, "{}", ready.body);
    let page: Value = serde_json::from_str(&ready.body).expect("JSON");
    assert_eq!(page["ready"], true);
    let said = |name: &str| {
        let checks = page["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).map(|check| check["detail"].clone())
    };
    assert_eq!(said("spool").expect("a check"), "keeps mail");
    assert_eq!(said("partners").expect("a check"), "1 of 1 links are up");
    assert_eq!(get_with(&sites.acme, "/metrics", &host).status, 200);
}

#[test]
fn the_metrics_count_one_mail_on_both_sides() {
    let (sites, _mailboxes) = connected();
    delivered(&sites, "counted@acme.test");
    let (acme, globex) = (&sites.acme, &sites.globex);
    for (site, sample) in [
        (acme, "dccp_accepted_total"),
        (acme, "dccp_sealed_total"),
        (acme, "dccp_acknowledged_total"),
        (acme, "dccp_receipts_taken_total"),
        (acme, "dccp_delivered_total{direction=\"outbound\"}"),
        (globex, "dccp_receipts_sent_total"),
        (globex, "dccp_delivered_total{direction=\"inbound\"}"),
        (acme, "dccp_stage_duration_seconds_count{stage=\"accept\"}"),
        (acme, "dccp_stage_duration_seconds_count{stage=\"seal\"}"),
        (acme, "dccp_stage_duration_seconds_count{stage=\"end_to_end\"}"),
        (globex, "dccp_stage_duration_seconds_count{stage=\"hand_over\"}"),
        (globex, "dccp_stage_duration_seconds_count{stage=\"arrive_to_delivered\"}"),
    ] {
        site.await_metric(sample, 1.0);
    }
    for site in [acme, globex] {
        for sample in
            ["dccp_sent_total", "dccp_arrived_total", "dccp_spool_commits_total", "dccp_spool_jobs_total"]
        {
            assert!(site.metric(sample) >= 1.0, "{sample} at {}", site.domain);
        }
        for sample in ["dccp_failed_total", "dccp_unopened_total", "dccp_oldest_without_progress_seconds"] {
            assert_eq!(site.metric(sample), 0.0, "{sample} at {}", site.domain);
        }
    }
    let size = letter("counted@acme.test", "Hello").len() as f64;
    acme.await_metric("dccp_message_bytes_total{direction=\"outbound\"}", size);
    assert!(
        globex.metric("dccp_message_bytes_total{direction=\"inbound\"}") > size,
        "a sealed message is larger"
    );
}

/// A name that is in the book and not on the page, or the other way round, breaks somebody's alarm.
#[test]
fn every_metric_of_the_book_is_on_the_page() {
    let book = include_str!("../../docs/API.md");
    let (sites, _mailboxes) = connected();
    delivered(&sites, "measured@acme.test");
    let refused =
        submit(sites.acme.smtp, "alice@acme.test", &["eve@nowhere.test"], &letter("no@acme.test", "Hello"));
    assert!(refused.starts_with("550"), "{refused}");
    let page = sites.acme.get("/metrics").1;
    let documented: Vec<&str> = book
        .lines()
        .filter(|line| line.starts_with("| `dccp_"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    assert!(documented.len() > 25, "the table of metrics was read: {documented:?}");
    for name in &documented {
        // A counter with labels is there from its first event on, which is why a recipient was refused.
        let described = format!("# HELP {} ", name.trim_end_matches("_total").trim_end_matches("_info"));
        assert!(page.contains(&described), "{name} is in docs/API.md, but not on the page:\n{page}");
    }
    for described in page.lines().filter_map(|line| line.strip_prefix("# HELP dccp_")) {
        let name = described.split(' ').next().unwrap_or_default();
        let known =
            |full: &&str| full.trim_end_matches("_total").trim_end_matches("_info") == format!("dccp_{name}");
        let of_the_overlay = name.starts_with("overlay_");
        assert!(of_the_overlay || documented.iter().any(known), "dccp_{name} is not in docs/API.md");
    }
    let stages = book.lines().skip_while(|line| !line.starts_with("| `stage`")).skip(2);
    for stage in stages.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('`').nth(1)) {
        assert!(page.contains(&format!("stage=\"{stage}\"")), "the stage {stage} is not on the page");
    }
    assert!(page.ends_with("# EOF\n"), "OpenMetrics 1.0 ends with # EOF");
}

#[test]
fn without_the_token_nobody_reads_the_api_or_the_console() {
    let (sites, _mailboxes) = connected();
    let host = format!("Host: {}\r\n", sites.acme.control);
    let right = token(&sites.acme);
    let other = token(&sites.globex);
    for path in [
        "/",
        "/messages/1@acme.test",
        "/api/v1/overview",
        "/api/v1/partners",
        "/api/v1/messages",
        "/api/v1/messages/1",
    ] {
        for credentials in [
            String::new(),
            "Authorization: Bearer \r\n".to_owned(),
            format!("Authorization: Bearer {other}\r\n"),
            format!("Authorization: Bearer {}\r\n", &right[..right.len() - 1]),
            format!("Authorization: Bearer {right}\r\nAuthorization: Bearer {right}\r\n"),
        ] {
            let answer = get_with(&sites.acme, path, &format!("{host}{credentials}"));
            assert_eq!(answer.status, 401, "{path} with {credentials:?}: {}", answer.body);
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(!answer.body.contains("globex"), "{}", answer.body);
        }
    }
    let allowed =
        get_with(&sites.acme, "/api/v1/overview", &format!("{host}Authorization: Bearer {right}\r\n"));
    assert_eq!(allowed.status, 200, "{}", allowed.body);
    let post = format!(
        "POST /api/v1/overview HTTP/1.1\r\nConnection: close\r\n{host}Authorization: Bearer {right}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(ask(sites.acme.control, &post).status, 405, "the API is read-only");
}

/// DNS rebinding: a web page that points its own name at 127.0.0.1 sends its own name.
#[test]
fn a_foreign_host_name_gets_nothing_even_with_the_token() {
    let (sites, _mailboxes) = connected();
    let authorised = format!("Authorization: Bearer {}\r\n", token(&sites.acme));
    let port = sites.acme.control.port();
    for path in ["/", "/healthz", "/metrics", "/api/v1/overview"] {
        for (host, status) in [
            ("Host: evil.example\r\n".to_owned(), 421),
            (format!("Host: evil.example:{port}\r\n"), 421),
            ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 421),
            ("Host: localhost@evil.example\r\n".to_owned(), 421),
            (String::new(), 400),
            (format!("Host: localhost:{port}\r\nHost: localhost:{port}\r\n"), 400),
            (format!("Host: localhost:{port}\r\n"), 200),
            (format!("Host: [::1]:{port}\r\n"), 200),
        ] {
            let answer = get_with(&sites.acme, path, &format!("{host}{authorised}"));
            assert_eq!(answer.status, status, "{path} with {host:?}: {}", answer.body);
        }
    }
}

#[test]
fn one_mail_is_found_by_every_name_on_both_sides() {
    let (sites, mailboxes) = connected();
    let queue_id = delivered(&sites, "found@acme.test");
    let trace = sites.acme.trace(&queue_id).expect("a trace")["messages"][0].clone();
    let dccp_id = trace["message_id"].as_str().expect("what leaves has a DCCP message id").to_owned();
    for name in [queue_id.as_str(), &dccp_id, "found@acme.test", "<found@acme.test>"] {
        let found = sites.acme.trace(name).unwrap_or_else(|| panic!("acme does not know {name}"));
        assert_eq!(found["messages"].as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(found["messages"][0]["queue_id"], queue_id.as_str(), "{name}");
    }
    for name in [dccp_id.as_str(), "found@acme.test", "<found@acme.test>"] {
        let found = sites.globex.trace(name).unwrap_or_else(|| panic!("globex does not know {name}"));
        let arrival = &found["messages"][0];
        assert_eq!(arrival["message_id"], dccp_id.as_str(), "both sides call it the same: {arrival}");
        assert_eq!(arrival["internet_message_id"], "found@acme.test");
        assert_eq!(
            (&arrival["direction"], &arrival["sender"]),
            (&"inbound".into(), &"alice@acme.test".into())
        );
    }
    let arrival = sites.globex.trace(&dccp_id).expect("a trace")["messages"][0]["queue_id"].clone();
    let arrival = arrival.as_str().expect("an arrival has a queue id too");
    assert!(sites.globex.trace(arrival).is_some());
    let received = String::from_utf8_lossy(&mailboxes.mailbox("bob")[0]).into_owned();
    assert!(
        received.contains(&queue_id) && received.contains(arrival),
        "both ids stand in the trace header:\n{received}"
    );
    assert!(sites.acme.trace("nobody@acme.test").is_none());
}

#[test]
fn the_command_line_prints_every_stage() {
    let (sites, _mailboxes) = connected();
    let queue_id = delivered(&sites, "stages@acme.test");
    let printed = |site: &Site, id: &str| {
        let done = site.command(&["trace", id]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8")
    };
    let in_order = |page: &str, stages: &[&str]| {
        let mut rest = page;
        for stage in stages {
            let at =
                rest.find(&format!("  {stage} ")).unwrap_or_else(|| panic!("{stage} comes next in:\n{page}"));
            rest = &rest[at + stage.len()..];
        }
    };
    let sent = printed(&sites.acme, &queue_id);
    in_order(&sent, &["received", "decided", "sealed", "sent", "acknowledged", "delivered"]);
    for fact in [
        "alice@acme.test",
        "bob@globex.test",
        "stages@acme.test",
        "globex.test: delivered after",
        "send-to-partner",
    ] {
        assert!(sent.contains(fact), "{fact} is on the page:\n{sent}");
    }
    let arrived = printed(&sites.globex, "<stages@acme.test>");
    in_order(&arrived, &["arrived", "opened", "decided", "handed-over", "delivered"]);
    assert!(arrived.contains("acme.test: delivered after"), "{arrived}");

    let unknown = sites.acme.command(&["trace", "nobody@acme.test"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{said}");
    assert!(said.contains("No message is known as nobody@acme.test"), "{said}");
}

#[test]
fn trace_says_that_the_gateway_does_not_run() {
    let acme = Site::found("acme.test", "lmtp:127.0.0.1:9");
    let done = acme.command(&["trace", "1@acme.test"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(&acme.control.to_string()) && said.contains("running"), "{said}");
}

#[test]
fn the_console_shows_the_mail_with_its_stages() {
    let (sites, _mailboxes) = connected();
    let queue_id = delivered(&sites, "console@acme.test");
    let refused =
        submit(sites.acme.smtp, "alice@acme.test", &["eve@nowhere.test"], &letter("no@acme.test", "Hello"));
    assert!(refused.starts_with("550"), "{refused}");
    let (status, overview) = sites.acme.get("/");
    assert_eq!(status, 200);
    for fact in ["acme.test", "globex.test", "bob@globex.test", "alice@acme.test", &queue_id] {
        assert!(overview.contains(fact), "{fact} is on the console:\n{overview}");
    }
    let (status, page) = sites.acme.get(&format!("/messages/{queue_id}"));
    assert_eq!(status, 200);
    for stage in ["Received", "Decided", "Sealed", "Sent", "Acknowledged", "Delivered"] {
        assert!(page.contains(stage), "{stage} is on the page of the message:\n{page}");
    }
    assert!(page.contains("bob@globex.test") && page.contains("console@acme.test"), "{page}");
    let (status, page) = sites.acme.get("/messages/nobody%40acme.test");
    assert!(status == 404 && page.contains("nobody@acme.test"), "{page}");
}

/// What a sender writes into a header or an address must not become part of the console.
#[test]
fn a_hostile_message_id_is_text_on_the_console() {
    let (sites, _mailboxes) = connected();
    let id = "<script>alert(1)</script>@acme.test";
    let queue_id = submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(id, "Hello"));
    sites.settled();
    let (_, page) = sites.acme.get(&format!("/messages/{queue_id}"));
    assert!(!page.contains("<script>alert"), "{page}");
}
