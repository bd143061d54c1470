//! What a site shows of itself: its control listener, and what is waited for there.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{PATIENCE, Site, eventually};

impl Site {
    /// `GET` from the control listener, with the token.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path)
            .unwrap_or_else(|| panic!("{} does not answer {path}:\n{}", self.domain, self.log()))
    }

    pub(super) fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let token = fs::read_to_string(self.folder.path().join("keys/control.token")).ok()?;
        http_get(self.control, path, token.trim())
    }

    /// A sample of `/metrics`, by its full name with labels, or 0 if it is not there.
    pub fn metric(&self, sample: &str) -> f64 {
        let (_, body) = self.get("/metrics");
        let line =
            body.lines().find_map(|line| line.strip_prefix(sample).and_then(|rest| rest.strip_prefix(' ')));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// The traces of a message, by queue id, DCCP message id or Message-ID.
    pub fn trace(&self, id: &str) -> Option<Value> {
        let id = id.replace('<', "%3C").replace('>', "%3E").replace('@', "%40");
        match self.get(&format!("/api/v1/messages/{id}")) {
            (200, body) => Some(serde_json::from_str(&body).expect("JSON")),
            (404, _) => None,
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// Waits until the (first) trace of `id` is in `state`.
    pub fn await_state(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state} at {}", self.domain), || {
            let trace = self.trace(id)?;
            let first = trace["messages"][0].clone();
            (first["state"] == state).then_some(first)
        })
    }

    /// Waits until a sample of `/metrics` is this: a counter may be behind the journal for a moment.
    pub fn await_metric(&self, sample: &str, value: f64) {
        eventually(&format!("{sample} is {value} at {}", self.domain), || {
            (self.metric(sample) == value).then_some(())
        });
    }

    /// Waits until the link to every partner is up. Only a gateway that was started after its partners knows: one whose
    /// partner was killed counts the link of that former life as up until QUIC has missed enough (RFC 9000 §10.1).
    pub fn await_links(&self) {
        eventually("the links are up", || {
            let (_, body) = self.get("/api/v1/partners");
            let partners: Value = serde_json::from_str(&body).expect("JSON");
            let partners = partners["partners"].as_array().or(partners.as_array()).expect("a list").clone();
            partners.iter().all(|partner| partner["link"] == "up").then_some(())
        });
    }

    /// Messages in the spool that have not ended, all counted at one moment.
    pub fn unsettled(&self) -> u64 {
        let (_, page) = self.get("/metrics");
        let depths = page.lines().filter_map(|line| line.strip_prefix("dccp_queue_depth{")?.split_once("} "));
        let goes_on = |labels: &str| ["queued", "sent", "held"].iter().any(|state| labels.contains(state));
        let depth = |(_, value): (&str, &str)| value.trim().parse::<f64>().expect("a number") as u64;
        depths.filter(|(labels, _)| goes_on(labels)).map(depth).sum()
    }

    /// The same, of those that it should have dealt with: none while it does not run, or may leave some.
    pub(super) fn owes(&mut self) -> u64 {
        if self.check_leftovers && self.is_running() { self.unsettled() } else { 0 }
    }

    /// Waits until nothing is left to do.
    pub fn settled(&self) {
        eventually(&format!("{} has settled everything", self.domain), || {
            (self.unsettled() == 0).then_some(())
        });
    }

    /// What it knows of the partner that has `domain`, as its console shows it.
    pub fn partner(&self, domain: &str) -> Value {
        let partners: Value = serde_json::from_str(&self.get("/api/v1/partners").1).expect("JSON");
        let list = partners["partners"].as_array().expect("a list");
        list.iter().find(|partner| partner["domain"] == domain).cloned().unwrap_or_default()
    }
}

fn http_get(at: SocketAddr, path: &str, token: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((code, if chunked { unchunk(body) } else { body.to_owned() }))
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
