//! As much IMAP (RFC 9051) as it takes to read an inbox.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

const ANSWER_WAIT: Duration = Duration::from_secs(120);

/// Logs in as `user` with the password `pw-` and the local part, and reads all messages of the inbox, which stay unseen.
pub fn imap_fetch_all(port: u16, user: &str) -> Vec<Vec<u8>> {
    let local = user.split('@').next().unwrap_or(user);
    let mut session = Session::connect(port);
    session.ask("a1", &format!("LOGIN \"{user}\" \"pw-{local}\""));
    let selected = session.ask("a2", "SELECT INBOX");
    // FETCH of an empty mailbox is an error.
    if selected.lines.iter().any(|line| line == "* 0 EXISTS") {
        return Vec::new();
    }
    session.ask("a3", "FETCH 1:* BODY.PEEK[]").literals
}

struct Session {
    reader: BufReader<TcpStream>,
}

/// The untagged lines of an answer, and the literals in them.
#[derive(Default)]
struct Answer {
    lines: Vec<String>,
    literals: Vec<Vec<u8>>,
}

impl Session {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the IMAP server");
        stream.set_read_timeout(Some(ANSWER_WAIT)).expect("a socket option");
        let mut session = Self { reader: BufReader::new(stream) };
        let greeting = session.line();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        session
    }

    fn ask(&mut self, tag: &str, command: &str) -> Answer {
        self.reader.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes()).expect("the server reads");
        let mut answer = Answer::default();
        loop {
            let line = self.line();
            if let Some(result) = line.strip_prefix(tag) {
                assert!(result.starts_with(" OK"), "{command}: {line}");
                return answer;
            }
            if let Some(length) = literal_length(&line) {
                let mut literal = vec![0; length];
                self.reader.read_exact(&mut literal).expect("a whole literal");
                answer.literals.push(literal);
            }
            answer.lines.push(line);
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("a line of IMAP");
        assert!(line.ends_with(b"\r\n"), "the IMAP server hung up");
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }
}

/// `… {123}` at the end of a line announces 123 octets (RFC 9051 §4.3).
fn literal_length(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
