use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::reply::{Enhanced, Reply};
use crate::server::net::admission::Admission;
use crate::server::{Client, Config, Limits, MailFrom, Mechanisms, Premises, RcptTo, Role};

/// A house that agrees with everything.
struct Agreeable;

impl Reception for Agreeable {
    type Transaction = ();

    async fn mail(&self, _: &Client, _: MailFrom) -> Result<(), Reply> {
        Ok(())
    }

    async fn recipient(&self, (): &mut (), _: RcptTo) -> Result<(), Reply> {
        Ok(())
    }

    async fn message(&self, (): (), _: Bytes) -> Reply {
        Reply::new(250, Enhanced(2, 0, 0), "kept")
    }
}

/// A stream that gives one piece for each read and remembers each write.
struct Scripted {
    pieces: std::vec::IntoIter<&'static [u8]>,
    writes: Vec<Vec<u8>>,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        into.put_slice(self.pieces.next().unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.push(octets.to_vec());
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How many replies each write held.
async fn replies_by_write(pieces: Vec<&'static [u8]>) -> Vec<usize> {
    let config = Arc::new(Config {
        role: Role::Relay,
        hostname: "gw.acme.example".into(),
        size_max: 1_000,
        trusted_networks: Vec::new(),
        proxy_networks: Vec::new(),
        bare_line_ends_from: Vec::new(),
        tls: None,
        implicit_tls: false,
        auth: Mechanisms::new(),
        limits: Limits::default(),
    });
    let floor = Floor {
        admission: Admission::new(1, 1),
        config,
        premises: Premises::new(1_000, 1),
        reception: Arc::new(Agreeable),
        stop: CancellationToken::new(),
        cut: CancellationToken::new(),
    };
    let address = "192.0.2.1:25".parse().unwrap();
    let mut connection = Connection::new(Arc::new(floor), address, None);
    let mut stream = Scripted { pieces: pieces.into_iter(), writes: Vec::new() };
    let _ = connection.converse(&mut stream).await;
    let last_lines = |write: &Vec<u8>| {
        write.split_inclusive(|&b| b == b'\n').filter(|line| line.get(3) == Some(&b' ')).count()
    };
    stream.writes.iter().map(last_lines).collect()
}

#[tokio::test]
async fn the_replies_to_a_pipelined_batch_are_one_write() {
    let batch = b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    let writes = replies_by_write(vec![b"EHLO x\r\n", batch, b"hi\r\n.\r\nQUIT\r\n"]).await;
    assert_eq!(writes, [1, 1, 4, 2]); // greeting, EHLO, the batch, the message with QUIT
}

#[tokio::test]
async fn a_command_in_many_pieces_is_answered_once() {
    let writes = replies_by_write(vec![b"N", b"OO", b"P\r", b"\nQU", b"IT\r\n"]).await;
    assert_eq!(writes, [1, 1, 1]);
}
