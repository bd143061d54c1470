//! Makes the seeds of the corpus that are missing, from real encodings: `cargo run --example seeds -- corpus`.
//!
//! A seed that exists stays as it is: signatures come out differently each time, and a seed that once found something
//! must not change.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dccp::did::{
    Change, Commitment, Device, Head, HeadNode, HeldBy, Log, Manifest, Quorum, Rotation, Service,
};
use dccp::find::NONCE_BYTES;
use dccp::body::{BodyRef, BodySealer};
use dccp::frame::{self, Frame, GoodbyeCode, Refusal, RefusalCode};
use dccp::kem::EncapsulationKey;
use dccp::mail::{self, Content, Mail, MailEnvelope};
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::prekey::{OneTimeBatch, Prekey, Stock, epoch_of};
use dccp::receipt::{self, Action, Outcome, Receipt};
use dccp::seal::{Draft, seal};
use dccp::succession::{Notice, Succession};
use dccp::transparency::{Binding, BindingState, SignedTreeHead};
use dccp::tree::{Tree, TreeHead};
use dccp::{Suite, address, transparency};
use fuzz::keys::{Acme, DAY_MS, NOW, acme};
use fuzz::questions::{address_question, tree_question};
use keystore::shares::{Divided, Scheme, split};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

fn main() {
    let corpus = Corpus(std::env::args().nth(1).expect("the folder of the corpus").into());
    let acme = acme();
    identity(&corpus, acme);
    records(&corpus, acme);
    questions(&corpus, acme);
    messages(&corpus, acme);
    trees(&corpus);
    edge(&corpus);
    domains(&corpus, acme);
    people(&corpus);
}

struct Corpus(PathBuf);

impl Corpus {
    fn put(&self, target: &str, seed: &str, octets: impl AsRef<[u8]>) {
        let known = fuzz::all().iter().any(|(name, _)| *name == target);
        assert!(known, "{target} is no target");
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(seed);
        if !file.exists() {
            fs::write(&file, octets).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

fn identity(corpus: &Corpus, acme: &Acme) {
    corpus.put("did", "acme", acme.document.did().as_str());
    let change = Change {
        services: vec![Service::Domain("acme.example".into()), Service::Domain("acme.test".into())],
        aka: Vec::new(),
        manifest_epoch_min: 2,
        witnesses: vec![acme.heir.did().clone()],
    };
    let updated = acme.log.update(&change, &[&acme.operator]).expect("an update");
    let rotation = Rotation {
        recovery_next: Quorum::one(Commitment::of(acme.next_recovery.verifying_key())),
        operators: Quorum::one(acme.operator.verifying_key().clone()),
        org: None,
        change,
    };
    let rotated = acme.log.rotate(&rotation, &[&acme.recovery], &[&acme.operator]).expect("a rotation");
    let ended = acme.log.deactivate(&[&acme.recovery]).expect("an end");
    corpus.put("log", "genesis", acme.log.to_bytes());
    corpus.put("log", "updated", updated.to_bytes());
    corpus.put("log", "rotated", rotated.to_bytes());
    for (seed, how, log) in [
        ("genesis", 1, &acme.log),
        ("update", 5, &updated),
        ("rotate", 7, &rotated),
        ("deactivate", 6, &ended),
    ] {
        corpus.put("operation", seed, [&[how], last_body(log).as_slice()].concat());
    }
}

fn records(corpus: &Corpus, acme: &Acme) {
    let did = acme.document.did();
    let device = acme.devices.iter().next().expect("one device").clone();
    let old = Device { id: "old.1".into(), held_by: HeldBy::Hsm, revoked: Some(NOW), ..device.clone() };
    let manifest = |devices: &[Device]| {
        Manifest::sign(did, 3, devices, &Suite::ALL, &[&acme.operator]).expect("a manifest").to_bytes()
    };
    corpus.put("manifest", "one", manifest(std::slice::from_ref(&device)));
    corpus.put("manifest_body", "one", body_of(&manifest(std::slice::from_ref(&device))));
    corpus.put("manifest_body", "two", body_of(&manifest(&[device, old])));

    let node = NodeRecord {
        did: did.clone(),
        peer_id: vec![0, 36, 8, 1, 18, 32],
        addresses: vec!["/dns4/gw.acme.example/udp/4600/quic-v1".into(), "/ip4/192.0.2.1/tcp/4600".into()],
        not_before: NOW,
        expires: NOW.saturating_add_ms(DAY_MS),
    };
    let node_record = node.sign(&acme.operator).expect("a node record");
    corpus.put("node_record_body", "two_addresses", body_of(&node_record));

    let prekeys = acme.kems.each_ref().map(|kem| {
        Prekey::new(did.clone(), epoch_of(NOW), kem.encapsulation_key().clone()).sign(&acme.operator)
    });
    corpus.put("prekey_body", "x_wing", body_of(&prekeys[0]));
    corpus.put("prekey_body", "ml_kem", body_of(&prekeys[1]));

    let nodes = vec![HeadNode { peer_id: node.peer_id.clone(), addresses: node.addresses.clone() }];
    let tree = TreeHead { size: 3, root: [3; 32] };
    let head = Head::of(&acme.document, 3, tree, nodes, (NOW, NOW.saturating_add_ms(DAY_MS)));
    let head = head.sign(&acme.operator).expect("a head");
    corpus.put("head_body", "one_node", body_of(&head));
    stocks(corpus, acme);

    let file = PartnerFile {
        log: acme.log.clone(),
        manifest: Manifest::from_bytes(&manifest(&[acme.devices.iter().next().expect("one").clone()]))
            .expect("a manifest"),
        nodes: vec![node_record.clone()],
        prekeys: prekeys.to_vec(),
    };
    corpus.put("bundle", "acme", file.to_bytes());
    corpus.put("partner_file", "acme", file.to_text());

    let hello = Frame::Hello {
        version: frame::VERSION,
        node_record: node_record.into(),
        prekeys: vec![prekeys[0].clone().into()],
        head: head.into(),
    };
    corpus.put(
        "prekey_question",
        "three",
        dccp::stock::Question { count: 3, suite: Suite::X0101 }.to_bytes(),
    );
    let signing = acme.device.verifying_key();
    let falcon = signing.falcon().expect("a device with all keys");
    let kems = acme.kems.each_ref().map(|kem| kem.encapsulation_key().to_bytes());
    corpus.put("public_key", "hybrid", [&[0], signing.hybrid().to_bytes().as_slice()].concat());
    corpus.put("public_key", "fn_dsa", [&[1], falcon.as_bytes().as_slice()].concat());
    corpus.put("public_key", "x_wing", [&[2], kems[0].as_slice()].concat());
    corpus.put("public_key", "ml_kem", [&[3], kems[1].as_slice()].concat());
    corpus.put("frame", "hello", &frame::encode(&hello)[frame::LENGTH_BYTES..]);
}

fn stocks(corpus: &Corpus, acme: &Acme) {
    let key = |seed: u8| {
        let key = dccp::xwing::DecapsulationKey::from_seed(&[seed; 32]);
        EncapsulationKey::from(key.encapsulation_key().clone())
    };
    let keys: Vec<_> = (10..15).map(key).collect();
    let until = NOW.saturating_add_ms(DAY_MS);
    let batch = OneTimeBatch::sign(acme.document.did(), &keys, NOW, until, &acme.operator).expect("a batch");
    let body = body_of(&batch.root_record);
    let length = (body.len() as u16).to_be_bytes();
    corpus.put("stock_root_body", "third", [&length, body.as_slice(), &batch.keys[2]].concat());
    let stock = Stock { root_record: batch.root_record, keys: batch.keys[3..].to_vec() };
    corpus.put("stock", "two_of_five", stock.to_bytes());
}

fn questions(corpus: &Corpus, acme: &Acme) {
    let (did, device) = (acme.document.did(), acme.device.hybrid());
    let (about_bob, about_the_tree) = (address_question(), tree_question());
    corpus.put("question", "address", about_bob.to_bytes());
    corpus.put("question", "tree", about_the_tree.to_bytes());
    let longest = format!("{}@acme.example", "b".repeat(241));
    let longest = address::Question::new(&longest, [1; NONCE_BYTES]).expect("254 octets");
    corpus.put("question", "longest", longest.to_bytes());

    let salt = [3; address::SALT_BYTES];
    let (address, generation, state) = ("bob@acme.example", 2, BindingState::Bound);
    let bob = Binding { salt: &salt, address, did: acme.heir.did(), generation, state }.leaf();
    let leaves = (0..9).map(|leaf| if leaf == 4 { bob } else { [leaf; 32] });
    let tree: Tree = leaves.collect();
    let answer = |mode| address::Answer { mode, tree: tree.head(), at: NOW };
    let person = address::Person {
        did: acme.heir.did().clone(),
        salt,
        generation,
        index: 4,
        proof: tree.inclusion_proof(4, 9).expect("a leaf"),
    };
    for (seed, mode) in [("user", address::Mode::User(Box::new(person))), ("domain", address::Mode::Domain)] {
        let signed = answer(mode).sign(&about_bob.to_bytes(), did, device).expect("an answer");
        corpus.put("address_answer", seed, body_of(&signed));
    }
    let proof = tree.consistency_proof(3, 9).expect("two sizes");
    let answer = transparency::Answer { tree: tree.head(), proof, at: NOW };
    let signed = answer.sign(&about_the_tree.to_bytes(), did, device).expect("an answer");
    corpus.put("tree_answer", "3_to_9", body_of(&signed));
    let head = SignedTreeHead { tree: tree.head(), at: NOW }.sign(did, device);
    corpus.put("tree_head_body", "9", body_of(&head));

    let says = Succession {
        old: did.clone(),
        new: acme.heir.did().clone(),
        domain: "acme.example".into(),
        not_before: NOW,
    };
    let halves = [says.sign(&[&acme.operator]), says.sign(&[&acme.heir_operator])];
    corpus.put("succession_body", "acme", body_of(&halves[0]));
    corpus.put("succession", "acme", Notice::join(&halves[0], &halves[1]).expect("a notice").to_bytes());
}

fn messages(corpus: &Corpus, acme: &Acme) {
    let mut rng = StdRng::seed_from_u64(20);
    let mail = Mail {
        envelope: MailEnvelope {
            reverse_path: "alice@globex.example".into(),
            forward_paths: vec!["bob@acme.example".into(), "jürgen@acme.example".into()],
            body_8bit: true,
            smtputf8: true,
            ..MailEnvelope::default()
        },
        content: Content::Inline(Bytes::from_static(PLAIN_MAIL.as_bytes())),
    };
    corpus.put("mail_payload", "two_paths", mail.encode());
    let large = Mail { content: Content::Body(body(&mut rng)), ..mail.clone() };
    for (seed, padding) in [("one_chunk", 0), ("refused-covert", 1)] {
        corpus.put("body", seed, [&1000_u16.to_be_bytes()[..], &[7; 1000], &[padding; 24]].concat());
    }
    corpus.put("mail_payload", "large", large.encode());
    let message = acme.message(Suite::X0001, mail::CONTENT_TYPE, large.encode());
    let to = acme.recipient_key(Suite::X0001);
    let sealed = seal(&message, &to, &acme.device, NOW, &mut rng).expect("sealed");
    corpus.put("sealed_message", "large", sealed.bytes());
    let outcome = |recipient: &str, action, status: &str| Outcome {
        recipient: recipient.into(),
        action,
        status: status.into(),
        diagnostic: "250 2.1.5 kept".into(),
    };
    let receipt = Receipt {
        message_id: Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001),
        digest: [9; 32],
        time: NOW,
        outcomes: vec![
            outcome("bob@acme.example", Action::Delivered, "2.1.5"),
            outcome("", Action::Failed, "5.7.1"),
        ],
    };
    corpus.put("receipts", "two", receipt::encode(&[receipt.clone(), receipt]));

    for (at, suite) in (0..).zip(Suite::ALL) {
        let mut message = acme.message(suite, mail::CONTENT_TYPE, mail.encode());
        let to = acme.recipient_key(suite);
        let sealed = seal(&message, &to, &acme.device, NOW, &mut rng).expect("sealed");
        corpus.put("sealed_message", &format!("{:04x}", suite.id()), sealed.bytes());
        message.own_tree = Some(TreeHead { size: 9, root: [1; 32] });
        message.your_tree = Some(TreeHead { size: 7, root: [2; 32] });
        let drafts = [0; 3].map(|_| Draft::prepare(&message, &to).expect("a draft"));
        let leaves = drafts.each_ref().map(Draft::leaf);
        let evidence = dccp::batch::sign(&leaves, suite, &acme.device).expect("a batch");
        let [_, draft, _] = drafts;
        let sealed = draft.finish(&evidence[1], NOW, &mut rng, None).expect("sealed");
        let opened = dccp::seal::unseal(&sealed, acme.kem_of(suite)).expect("opens");
        let opened = opened.verify(acme.device.verifying_key(), acme.document.did(), NOW).expect("verifies");
        let length = (opened.evidence.len() as u32).to_be_bytes();
        let plain = [&[at], length.as_slice(), &opened.evidence].concat();
        corpus.put("signed_part", &format!("{:04x}", suite.id()), plain);
        let body = [&[at], first_field(&opened.evidence)].concat();
        corpus.put("agent_message", &format!("{:04x}", suite.id()), body);
    }
    let refused = vec![Refusal { seq: 4, code: RefusalCode::UnknownKey, reason: "no such key".into() }];
    let frames = [
        ("message", Frame::Message { seq: 7, sealed: Bytes::from_static(b"sealed") }),
        ("chunk", Frame::Chunk { body: body(&mut rng).digest(), index: 3, octets: vec![7; 1040].into() }),
        ("ack", Frame::Ack { upto: 300, refused }),
        ("goodbye", Frame::Goodbye { code: GoodbyeCode::NotNow, reason: "the disk is full".into() }),
    ];
    for (seed, frame) in frames {
        corpus.put("frame", seed, &frame::encode(&frame)[frame::LENGTH_BYTES..]);
    }
}

/// Three chunks that nobody has.
fn body(rng: &mut StdRng) -> BodyRef {
    let mut sealer = BodySealer::new(700_000, rng).expect("a size");
    let mut octets = Bytes::from(vec![7; 700_000]);
    while sealer.chunk(&mut octets).expect("sealed").is_some() {}
    sealer.finish().expect("whole")
}

fn trees(corpus: &Corpus) {
    corpus.put("forged_proof", "honest", [40, 12, 5]);
    corpus.put("forged_proof", "spoiled", [40, 12, 5, 0, 0, 0, 1]);
    let sizes = |size: u64, index: u64| [size.to_be_bytes(), index.to_be_bytes()].concat();
    corpus.put("claimed_proof", "third_of_five", [sizes(5, 2), vec![1; 96]].concat());
    corpus.put("claimed_proof", "endless", [sizes(u64::MAX, u64::MAX - 1), vec![1; 2048]].concat());
}

const PLAIN_MAIL: &str = "From: Alice <alice@globex.example>\r\nTo: bob@acme.example\r\nSubject: lunch\r\n\
    Message-ID: <1@globex.example>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\nAt noon?\r\n.\r\nA.\r\n";
const MULTIPART: &str = "Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\r\n\
    From: =?utf-8?q?J=C3=BCrgen?= <j@acme.example>\r\nSubject: =?utf-8?b?w7xiZXI=?=\r\n\tfolded\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_1\"\r\n\r\npreamble\r\n--=_1\r\n\
    Content-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\n\r\nplain\r\n--b2\r\n\
    Content-Type: text/html\r\n\r\n<p>\r\n--b2--\r\n--=_1\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: inner\r\n\r\ninner\r\n--=_1--\r\nepilogue\r\n";
const SESSION: &str = "EHLO client.example\r\nMAIL FROM:<alice@acme.example> SIZE=500 BODY=8BITMIME\r\n\
    RCPT TO:<\"b b\"@globex.example>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nSubject: x\r\n\r\n..dots\r\n.\r\n\
    MAIL FROM:<>\r\nRSET\r\nNOOP\r\nVRFY bob\r\nHELP\r\nSTARTTLS\r\nQUIT\r\n";

const CHUNKS: &str = "EHLO client.example\r\nMAIL FROM:<a@b.example> RET=HDRS ENVID=QQ+2B1\r\n\
    RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2Bx@d.example\r\nBDAT 14\r\nSubject: x\r\n\
    \r\nBDAT 7 LAST\r\n.\r\n..\r\nBDAT 6 LAST\r\nNOOP\r\nQUIT\r\n";

/// Passwords, tokens and proofs; those of Alice are `pencil`.
const AUTH_PLAIN: &str = "EHLO client.example\r\nAUTH PLAIN AGFsaWNlAHBlbmNpbA==\r\n\
    MAIL FROM:<a@b.example> REQUIRETLS AUTH=<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nbare\nends\r\r\n.\r\n\
    BDAT 2\r\n\n\r\nQUIT\r\n";
const AUTH_IN_STEPS: &str = "EHLO client.example\r\nAUTH LOGIN\r\nYWxpY2U=\r\nY3JheW9u\r\nAUTH PLAIN\r\n*\r\n\
    AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBjcmF5b24BAQ==\r\n\r\n\
    AUTH OAUTHBEARER bixhPWFsaWNlLAFob3N0PXgBYXV0aD1CZWFyZXIgcGVuY2lsAQE=\r\nQUIT\r\n";
const AUTH_SCRAM: &str = "EHLO client.example\r\nAUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==\r\n\
    Yz1iaXdzLHI9YWJjQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSCxwPWRIemJaYXBXSWs0alVoTitVdGU5eXRhZzl6amZNSGdzcW1taXo3QW5kVlE9\r\n\
    QUIT\r\n";
const CLAIM: &str = "X-DCCP-Trust: 3\r\nAuthentication-Results: gw.acme.example; dmarc=pass\r\n\
    Authentication-Results: mx.globex.example; spf=pass\r\nSubject: x\r\n\r\nbody\r\n";
const CHAIN: &str = "ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none; d=globex.example; s=s; b=AAAA\r\n\
    ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=globex.example; s=s; t=1;\r\n\
    \th=From:Subject; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i=1; mx.globex.example; spf=pass\r\n\
    DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/simple; d=globex.example; s=s; h=From:From;\r\n\
    \tbh=AAAA; b=AAAA\r\n";

fn edge(corpus: &Corpus) {
    corpus.put("smtp_session", "two_mails", SESSION);
    corpus.put("smtp_session", "chunks", CHUNKS);
    corpus.put("smtp_submission", "plain", AUTH_PLAIN);
    corpus.put("smtp_submission", "steps", AUTH_IN_STEPS);
    corpus.put("smtp_submission", "scram", AUTH_SCRAM);
    corpus.put(
        "smtp_session",
        "helo",
        "HELO [192.0.2.1]\r\nMAIL FROM:<a@b.example>\r\nDATA\r\nGET / HTTP/1.1\r\n",
    );
    corpus.put("smtp_message", "plain", PLAIN_MAIL);
    corpus.put("smtp_message", "multipart", MULTIPART);
    corpus.put("smtp_claims", "plain", CLAIM);
    corpus.put("smtp_claims", "comment", "Authentication-Results: (a (b)) \"gw.acme.example\";\r\n\tspf=pass\r\n\r\n");
    corpus.put("smtp_seal", "plain", PLAIN_MAIL);
    corpus.put("smtp_seal", "multipart", MULTIPART);
    corpus.put("smtp_seal", "chained", format!("{CHAIN}{PLAIN_MAIL}"));
    corpus.put("smtp_report", "plain", PLAIN_MAIL);
    corpus.put("smtp_report", "multipart", MULTIPART);
    corpus.put(
        "smtp_replies",
        "ehlo",
        "220 mx ready\r\n250-mx greets\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 SMTPUTF8\r\n",
    );
    corpus.put(
        "smtp_replies",
        "refusal",
        "550-5.1.1 no such\r\n550 5.1.1 user\r\n354\r\n421 4.3.2 closing\r\n",
    );
    for (seed, address) in [
        ("plain", "alice@acme.example"),
        ("quoted", "\"a \\\"b\\\" c\"@Acme.Example"),
        ("literal", "root@[IPv6:2001:db8::1]"),
        ("utf8", "jürgen@bücher.example"),
    ] {
        corpus.put("smtp_address", seed, address);
    }
}

fn domains(corpus: &Corpus, acme: &Acme) {
    let did = acme.document.did();
    let page = format!(
        r#"{{"v":"DCCP1","did":"{did}","nodes":["/dns4/gw.acme.example/tcp/4600/p2p/12D3KooW"],"mirror":"https://dccp.acme.example:8443","succession":"AQID"}}"#
    );
    corpus.put("well_known", "full", page);
    corpus.put("well_known", "least", format!(r#"{{"v":"DCCP1","did":"{did}"}}"#));
    corpus.put("dns_txt", "plain", format!("v=DCCP1; did={did}"));
    corpus.put("dns_txt", "loose", format!(" v = DCCP1 ;x=y; did = {did} ;"));
    corpus.put("domain_name", "plain", "Mail.Globex.example");
    corpus.put("domain_name", "a_label", "xn--bcher-kva.example");
    corpus.put("mirror", "name", "https://dccp.acme.example:8443/");
    corpus.put("mirror", "literal", "https://[2001:db8::1]");
}

fn people(corpus: &Corpus) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sample = fs::read_to_string(project.join("deploy/dccp-config.yaml")).expect("the sample");
    corpus.put("config", "sample", &sample);
    let bare: Vec<&str> = sample.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    corpus.put("config", "bare", bare.join("\n"));
    let scheme = Scheme::new(3, 2).expect("a scheme");
    let shares = split(Divided::RecoveryKey, &[5; 64], scheme, [6; 32], &mut StdRng::seed_from_u64(30));
    corpus.put("recovery_share", "second_of_three", &*shares[1].to_text("Keep this safe.\n\n"));
}

/// The body of a signed record `{b: body, s: …}`.
fn body_of(record: &[u8]) -> Vec<u8> {
    assert_eq!(record[..3], [0xa2, 0x61, b'b']);
    byte_string(&record[3..]).to_vec()
}

/// The body of the last operation of a log of one or two.
fn last_body(log: &Log) -> Vec<u8> {
    let bytes = log.to_bytes();
    let begun = log.beginning(1).filter(|_| log.seq() > 0);
    body_of(&bytes[begun.map_or(1, |genesis| genesis.to_bytes().len())..])
}

fn byte_string(head: &[u8]) -> &[u8] {
    match head[0] {
        short @ 0x40..=0x57 => &head[1..][..usize::from(short - 0x40)],
        0x58 => &head[2..][..usize::from(head[1])],
        0x59 => &head[3..][..usize::from(u16::from_be_bytes([head[1], head[2]]))],
        other => panic!("{other:02x} is not the head of a byte string"),
    }
}

/// The contents of a protobuf field with a length of two octets or less, which comes first.
fn first_field(octets: &[u8]) -> &[u8] {
    let low = usize::from(octets[1] & 0x7f);
    match octets[1] & 0x80 {
        0 => &octets[2..][..low],
        _ => &octets[3..][..low | usize::from(octets[2]) << 7],
    }
}
