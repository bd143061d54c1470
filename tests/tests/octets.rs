//! The octets are sacred: what alice's software wrote is what bob's mailbox holds, byte for byte, after the trace headers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tests::peers::Dovecot;
use tests::site::TwoSites;
use tests::submit::{letter, submitted, without_trace};

/// A mail with this Message-ID and the rest as given.
fn mail(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut octets =
        format!("From: alice@acme.test\r\nTo: bob@globex.test\r\nMessage-ID: <{name}@acme.test>\r\n")
            .into_bytes();
    octets.extend_from_slice(rest);
    octets
}

/// After the signed example of RFC 8463 §A.3: such a signature covers header fields and body, so one changed octet would
/// break it.
const DKIM_SIGNED: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <dkim-signed@acme.test>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";

/// Mails that software in between likes to change.
fn delicate_mails() -> Vec<(&'static str, Vec<u8>)> {
    let long_line = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(5_000));
    let dots = b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\n\r\n. \r\n".as_slice();
    let mime = b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b b\"\r\n\r\npreamble\r\n--b b\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =\r\n folded\r\n--b b\r\n\
        Content-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b b--\r\nepilogue\r\n";
    let eight_bit =
        "Subject: Grüße, 你好\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nÄÖÜ ß — ✓\r\n".as_bytes();
    let latin =
        b"Subject: latin\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9 \xff\xfe \x80\r\n";
    let odd_headers = b"subject:no space\r\nX-Empty:\r\nX-Folded: one\r\n\ttwo\r\n  three\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Trailing: space   \r\n\r\n \r\n\t\r\n\r\n\r\n";
    vec![
        ("plain", mail("plain", b"Subject: plain\r\n\r\nHello Bob\r\n")),
        ("no-body", mail("no-body", b"Subject: nothing follows\r\n\r\n")),
        ("no-separator", mail("no-separator", b"Subject: a header section only\r\n")),
        ("dots", mail("dots", dots)),
        ("long-line", mail("long-line", long_line.as_bytes())),
        ("mime", mail("mime", mime)),
        ("eight-bit", mail("eight-bit", eight_bit)),
        ("latin", mail("latin", latin)),
        ("odd-headers", mail("odd-headers", odd_headers)),
        ("dkim-signed", DKIM_SIGNED.replace('\n', "\r\n").into_bytes()),
        ("trailing-blank-lines", mail("trailing-blank-lines", b"Subject: blank\r\n\r\nend\r\n\r\n\r\n\r\n")),
        (
            "large",
            mail(
                "large",
                &[b"Subject: large\r\n\r\n".as_slice(), &b"0123456789abcdef\r\n".repeat(200_000)].concat(),
            ),
        ),
    ]
}

#[test]
fn what_was_written_is_what_arrives() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    sites.start();
    let mails = delicate_mails();
    for (_, octets) in &mails {
        submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], octets);
    }
    sites.settled();
    let mailbox = dovecot.mailbox("bob");
    assert_eq!(mailbox.len(), mails.len());
    for (name, octets) in &mails {
        let needle = format!("Message-ID: <{name}@acme.test>");
        let found = mailbox.iter().find(|mail| contains(mail, needle.as_bytes()));
        let found = found.unwrap_or_else(|| panic!("{name} is not in the mailbox"));
        assert!(without_trace(found) == octets.as_slice(), "{name} was changed on its way");
    }
}

#[test]
fn both_gateways_leave_their_trace_in_front_and_nothing_else() {
    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    sites.start();
    let octets = letter("trace@acme.test", "Hello");
    let queue_id = submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &octets);
    sites.settled();
    let mailbox = dovecot.mailbox("bob");
    let text = String::from_utf8(mailbox[0].clone()).expect("ASCII");
    let head = &text[..text.len() - octets.len()];
    assert_eq!(head.matches("Received: ").count(), 3, "one from each gateway and one from Dovecot:\n{head}");
    assert!(head.contains("with DCCP"), "{head}");
    assert!(head.contains(&queue_id), "the origin's queue id is in its trace header:\n{head}");
}

/// Signs with OpenSSL as a mail client would (S/MIME, RFC 8551): the signature covers the exact octets of the body.
#[test]
fn a_signed_mail_still_verifies_in_the_mailbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let openssl = |words: &[&str], input: &[u8]| -> Vec<u8> {
        let mut process = Command::new("openssl")
            .args(words)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl: apt-get install openssl");
        process.stdin.take().expect("a pipe").write_all(input).expect("openssl reads");
        let done = process.wait_with_output().expect("openssl ends");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    openssl(
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "c.pem",
            "-days",
            "2",
            "-subj",
            "/CN=alice/emailAddress=alice@acme.test",
            "-addext",
            "extendedKeyUsage=emailProtection",
        ],
        b"",
    );
    let content = b"Content-Type: text/plain\r\n\r\nSigned by Alice.\r\n.\r\n  trailing spaces   \r\n";
    let signed = openssl(
        &[
            "smime",
            "-sign",
            "-crlfeol",
            "-signer",
            "c.pem",
            "-inkey",
            "k.pem",
            "-from",
            "alice@acme.test",
            "-to",
            "bob@globex.test",
            "-subject",
            "signed",
        ],
        content,
    );
    // OpenSSL mixes line ends in its own headers; on the wire every line ends in CRLF (RFC 5321 §2.3.8).
    let text = String::from_utf8(signed).expect("ASCII").replace("\r\n", "\n").replace('\n', "\r\n");

    let dovecot = Dovecot::start();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port()));
    sites.start();
    submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], text.as_bytes());
    sites.settled();
    let arrived = dovecot.mailbox("bob").remove(0);
    openssl(&["smime", "-verify", "-CAfile", "c.pem"], without_trace(&arrived));
    let changed = String::from_utf8(arrived).expect("ASCII").replace("Signed by Alice", "Signed by Mallory");
    std::fs::write(folder.path().join("changed"), without_trace(changed.as_bytes())).expect("a file");
    let refused = Command::new("openssl")
        .args(["smime", "-verify", "-CAfile", "c.pem", "-in", "changed"])
        .current_dir(folder.path())
        .output()
        .expect("openssl");
    assert!(!refused.status.success(), "a changed mail must not verify");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
