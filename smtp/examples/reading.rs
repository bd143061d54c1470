//! What reading a mail of 5 KB costs on one core: `cargo run --release -p smtp --example reading`.
//! The design allows 20 µs for the facts of a message; the rest is printed to be known.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use smtp::authenticity::{KeyPair, Signer, forged_results};
use smtp::message::{Limits, crlf_strict, read};

const ROUNDS: usize = 5_000;
const SIGNATURES: usize = 200;
const ALLOWED: Duration = Duration::from_micros(20);

fn main() {
    let mail = mail();
    let octets = mail.as_bytes();
    let limits = Limits::default();
    let reading = median(ROUNDS, || {
        black_box(read(black_box(octets), &limits).expect("a message"));
    });
    let checking = median(ROUNDS, || crlf_strict(black_box(octets)).expect("line ends"));
    let cutting = median(ROUNDS, || {
        black_box(forged_results(black_box(octets), "gw.acme.example"));
    });
    let secret = KeyPair::generate().expect("keys");
    let signer = Signer::new(vec![KeyPair::of_secret("acme.example", "s1", &secret).expect("a pair")]);
    let signing = median(SIGNATURES, || {
        let signed = signer.sign("acme.example", black_box(octets), SystemTime::now());
        black_box(signed.expect("a signature"));
    });
    eprintln!("reading a mail of {} octets, median, one core", octets.len());
    eprintln!("  facts and structure            {reading:>9.1?}   (allowed {ALLOWED:?})");
    eprintln!("  strict line ends               {checking:>9.1?}");
    eprintln!("  claims in our name             {cutting:>9.1?}");
    eprintln!("  DKIM, Ed25519 and RSA-2048     {signing:>9.1?}");
}

/// A letter in two forms with a small attachment, as a mail program writes it after two servers.
fn mail() -> String {
    let received = "Received: from mx.globex.example (mx.globex.example [192.0.2.1])\r\n\tby mx.acme.example with ESMTPS \
        id 4Xy7; Tue, 1 Jul 2025 10:52:37 +0000\r\n";
    let head = "From: =?utf-8?q?Alice_M=C3=BCller?= <alice@acme.example>\r\nTo: Bob <bob@globex.example>\r\n\
        Subject: =?utf-8?b?UXVhcnRhbHNiZXJpY2h0?= for the board\r\nDate: Tue, 1 Jul 2025 10:52:37 +0000\r\n\
        Message-ID: <b7d1c1@acme.example>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"outer-0815\"\r\n\r\n";
    let line = "We met the plan in all regions but one, and there the reasons are known.\r\n";
    let text = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", line.repeat(16));
    let html = format!("Content-Type: text/html; charset=utf-8\r\n\r\n<p>{}</p>\r\n", line.repeat(16));
    let file = format!(
        "Content-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        "JVBERi0xLjcKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0\r\n".repeat(22)
    );
    let forms = format!(
        "Content-Type: multipart/alternative; boundary=inner-0816\r\n\r\n--inner-0816\r\n{text}--inner-0816\r\n{html}\
         --inner-0816--\r\n"
    );
    format!("{received}{received}{head}--outer-0815\r\n{forms}--outer-0815\r\n{file}--outer-0815--\r\n")
}

fn median(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2]
}
