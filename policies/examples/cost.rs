//! What a decision costs: `cargo run --release -p policies --example cost`. The judge is asked once per recipient and
//! once per mail; above some 30 µs it would show beside the cryptography.

use std::hint::black_box;
use std::time::{Duration, Instant};

use policies::{
    Client, Destination, Direction, MailFacts, Marks, PartnerStanding, RecipientFacts, Rules, SenderStanding,
    decide_mail, decide_recipient,
};

fn main() {
    let rules = Rules::standard();
    let did = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("a DID");
    let destination = Destination::Partner { did: &did, standing: PartnerStanding::Pinned };
    let recipient = RecipientFacts {
        direction: Direction::Outbound,
        sender: "alice@acme.example",
        sender_standing: SenderStanding::Ours,
        recipient: "bob@globex.example",
        recipient_domain: "globex.example",
        destination,
        client: Client::BELIEVED,
        marks: Marks::default(),
        outside: None,
    };
    let mail = MailFacts {
        direction: Direction::Outbound,
        sender: "alice@acme.example",
        sender_standing: SenderStanding::Ours,
        destination,
        client: Client::BELIEVED,
        marks: Marks::default(),
        require_tls: false,
        outside: None,
        authenticity: None,
        recipients: 3,
        size: 70_000,
        size_max: 26_214_400,
        content_type: "multipart/mixed",
        owns_from: true,
        approved: false,
    };
    let started = Instant::now();
    black_box(Rules::standard());
    eprintln!("building the rules: {:?}", started.elapsed());
    let per_recipient = median(|| {
        assert!(black_box(decide_recipient(&rules, black_box(&recipient))).verdict.is_allow());
    });
    let per_mail = median(|| {
        assert!(black_box(decide_mail(&rules, black_box(&mail))).verdict.is_allow());
    });
    eprintln!("decide_recipient: {per_recipient:?}, decide_mail: {per_mail:?} (medians)");
}

fn median(mut act: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..5_000)
        .map(|_| {
            let started = Instant::now();
            act();
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
