//! A light sink that knows when each message arrived, by its Message-ID.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// An SMTP server on loopback that says yes to everything.
pub struct Sink {
    /// Where it listens.
    pub listen: SocketAddr,
    inner: Arc<Inner>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inner {
    arrivals: Mutex<HashMap<String, Instant>>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Sink {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listen = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner::default());
        let acceptor = std::thread::spawn({
            let inner = Arc::clone(&inner);
            move || inner.accept(&listener)
        });
        Self { listen, inner, acceptor: Some(acceptor) }
    }

    /// When each message arrived, once there are `expected` of them or `deadline` has passed; forgets them.
    pub fn take_arrivals(&self, expected: usize, deadline: Instant) -> HashMap<String, Instant> {
        let mut arrivals = self.inner.arrivals.lock().expect("a lock");
        while arrivals.len() < expected {
            let Some(patience) = deadline.checked_duration_since(Instant::now()) else { break };
            arrivals = self.inner.changed.wait_timeout(arrivals, patience).expect("a lock").0;
        }
        std::mem::take(&mut *arrivals)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        // Wakes the acceptor; sessions end when their clients do.
        _ = TcpStream::connect(self.listen);
        if let Some(acceptor) = self.acceptor.take() {
            _ = acceptor.join();
        }
    }
}

impl Inner {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().filter_map(Result::ok) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let inner = Arc::clone(self);
            // A client that goes away in the middle is its own affair; what it did not finish has not arrived.
            std::thread::spawn(move || _ = inner.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
        stream.write_all(b"220 sink.test ESMTP\r\n")?;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.get(..4).unwrap_or("").to_ascii_uppercase().as_str() {
                "EHLO" => stream.write_all(b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")?,
                "DATA" => {
                    stream.write_all(b"354 go ahead\r\n")?;
                    self.arrived(read_message(&mut reader)?);
                    stream.write_all(b"250 2.0.0 thank you\r\n")?;
                }
                "QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n"),
                _ => stream.write_all(b"250 2.0.0 ok\r\n")?,
            }
        }
    }

    /// The first arrival counts.
    fn arrived(&self, id: String) {
        let now = Instant::now();
        self.arrivals.lock().expect("a lock").entry(id).or_insert(now);
        self.changed.notify_all();
    }
}

/// Reads to the final dot; gives the Message-ID without brackets.
fn read_message(reader: &mut impl BufRead) -> io::Result<String> {
    let (mut id, mut line, mut in_header) = (String::new(), Vec::new(), true);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.as_slice() {
            b".\r\n" => return Ok(id),
            b"\r\n" => in_header = false,
            header if in_header && id.is_empty() => id = message_id(header).unwrap_or_default(),
            _ => {}
        }
    }
}

fn message_id(header: &[u8]) -> Option<String> {
    let (name, value) = std::str::from_utf8(header).ok()?.split_once(':')?;
    name.eq_ignore_ascii_case("Message-ID").then(|| value.trim().trim_matches(['<', '>']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::source::{Drive, send};
    use std::time::Duration;

    #[test]
    fn every_message_is_known_by_name_after_it_was_sent() {
        let sink = Sink::start();
        let drive = Drive { sessions: 3, messages: 20, bytes: 500, per_s: None };
        let sent = send(sink.listen, drive, "run");
        let arrivals = sink.take_arrivals(20, Instant::now() + Duration::from_secs(10));
        assert_eq!(arrivals.len(), 20);
        assert!(
            sent.iter().all(|sent| arrivals[&sent.id] >= sent.dot && arrivals[&sent.id] <= sent.accepted)
        );
        assert!(sink.take_arrivals(0, Instant::now()).is_empty(), "arrivals were not forgotten");
    }

    #[test]
    fn an_identifier_in_the_body_is_not_the_messages() {
        let id = |mut octets: &[u8]| read_message(&mut octets).expect("a message");
        assert_eq!(id(b"Message-Id: <right@x>\r\n\r\nMessage-ID: <wrong@x>\r\n..\r\n.\r\n"), "right@x");
        assert_eq!(id(b"Subject: none\r\n\r\nMessage-ID: <wrong@x>\r\n.\r\n"), "");
    }
}
