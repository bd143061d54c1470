//! An agent under test: software that knows an address, a token and HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::peers::free_port;
use crate::site::{Site, loopback};

/// Software with a token.
pub struct Agent {
    /// Its address.
    pub address: String,
    door: SocketAddr,
    token: String,
}

/// What the door says.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header section.
    pub head: String,
    /// The octets below it.
    pub octets: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.octets);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {} {text}", self.head))
    }
}

/// Opens a site to agents, which live in `agents.` and its domain. The site is founded with that domain.
pub fn open_to_agents(site: &Site) -> SocketAddr {
    let door = loopback(free_port());
    site.set("agents.domains", &format!("[agents.{}]", site.domain));
    site.set("agents.listen", &format!("\"{door}\""));
    door
}

impl Agent {
    /// Makes an agent of this local part.
    pub fn add(site: &Site, door: SocketAddr, local: &str, name: &str) -> Self {
        let address = format!("{local}@agents.{}", site.domain);
        let done = site.command(&["agent", "add", &address, "--name", name, "--publish"]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && said.contains("did:dccp:1"), "{done:?}");
        let token = said.trim_end().rsplit('\n').next().expect("a line").to_owned();
        Self { address, door, token }
    }

    /// The same agent with something else for a token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { address: self.address.clone(), door: self.door, token: token.to_owned() }
    }

    /// One request.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.door).expect("the agents' door");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.door,
            self.token,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the door reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the door answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a header section");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, head, octets: answer[end + 4..].to_vec() }
    }

    /// What waits; waits half a minute for something.
    pub fn waiting(&self) -> Vec<Value> {
        let answer = self.ask("GET", "/agent/v1/messages?wait=30", b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["messages"].as_array().expect("a list").clone()
    }

    /// Takes the one mail that waits, or comes: what is told of it, and its octets.
    #[track_caller]
    pub fn take(&self) -> (Value, Vec<u8>) {
        let mut waiting = self.waiting();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let mail = waiting.remove(0);
        let path = mail["payload"].as_str().expect("a path");
        let octets = self.ask("GET", path, b"");
        assert_eq!(octets.status, 200, "{octets:?}");
        assert_eq!(self.ask("DELETE", path, b"").status, 204);
        (mail, octets.octets)
    }

    /// Hands a message in.
    pub fn send(&self, message: &Value) -> Answer {
        self.ask("POST", "/agent/v1/messages", message.to_string().as_bytes())
    }

    /// Hands in a text, which must be taken.
    #[track_caller]
    pub fn write(&self, to: &str, subject: &str, text: &str) -> Value {
        let message = json!({"to": [to], "subject": subject, "content_type": "text/plain", "payload": text});
        let answer = self.send(&message);
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.octets));
        answer.json()
    }
}
