//! What messages carry (mails, receipts) and what carries messages (frames).

use bytes::Bytes;
use dccp::body::{BodyDigest, BodySealer, CHUNK_SEALED_BYTES};
use dccp::frame::{self, Frame, FrameError, GoodbyeCode, LENGTH_BYTES, Refusal, RefusalCode};
use dccp::limits::{
    CHUNKS_MAX, CONTROL_FRAME_BYTES_MAX, DIAGNOSTIC_BYTES_MAX, REASON_BYTES_MAX, RECORD_BYTES_MAX,
};
use dccp::mail::{Content, Mail, MailEnvelope, MailError, Notify, OriginalRecipient, Return, Wish};
use dccp::receipt::{self, Action, Outcome, Receipt, ReceiptError};
use dccp::{Malformed, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

fn wish(notify: Notify) -> Wish {
    let original = OriginalRecipient { kind: "rfc822".into(), address: "list@acme.example".into() };
    Wish { notify, original: Some(original) }
}

fn mail() -> Mail {
    Mail {
        envelope: MailEnvelope {
            reverse_path: "alice@acme.example".into(),
            forward_paths: vec!["bob@globex.example".into(), "\"b c\"@globex.example".into()],
            body_8bit: true,
            require_tls: true,
            returns: Some(Return::Headers),
            envelope_id: Some("QQ314159".into()),
            wishes: vec![wish(Notify::On { success: true, failure: false, delay: true }), Wish::default()],
            ..MailEnvelope::default()
        },
        content: Content::Inline(Bytes::from_static(b"Subject: hi\r\n\r\n\0\xff\r\n")),
    }
}

#[test]
fn a_mail_comes_out_octet_for_octet_without_a_copy() {
    let payload = mail().encode();
    let decoded = Mail::decode(payload.clone()).unwrap();
    assert_eq!(decoded, mail());
    let Content::Inline(octets) = decoded.content else { panic!("a body") };
    assert!(payload.as_ptr_range().contains(&octets.as_ptr()), "a slice of the payload");
}

/// A mail of 300,000 octets, which travel beside it.
fn large() -> Mail {
    let mut sealer = BodySealer::new(300_000, &mut StdRng::seed_from_u64(1)).unwrap();
    let mut octets = Bytes::from(vec![7; 300_000]);
    while sealer.chunk(&mut octets).unwrap().is_some() {}
    Mail { content: Content::Body(sealer.finish().unwrap()), ..mail() }
}

#[test]
fn a_large_mail_says_where_its_octets_are() {
    assert_eq!(large().content.size(), 300_000);
    assert!(large().encode().len() < 500);
    assert_eq!(Mail::decode(large().encode()), Ok(large()));
}

/// The payload of a large mail up to its last field, and then this.
fn with_body(field: &[u8]) -> Result<Mail, MailError> {
    let payload = Mail { content: Content::Inline(Bytes::new()), ..mail() }.encode();
    Mail::decode([&payload[..], field].concat().into())
}

/// Field 16: key, digest and size.
fn body_field(key: &[u8], digest: &[u8], size: u8) -> Vec<u8> {
    let body = [&[0x0a, key.len() as u8], key, &[0x12, digest.len() as u8], digest, &[0x18, size]].concat();
    [&[0x82, 0x01, body.len() as u8], &body[..]].concat()
}

#[test]
fn a_mail_has_octets_or_one_reference_that_can_be() {
    assert!(with_body(&body_field(&[1; 32], &[2; 32], 9)).is_ok());
    assert_eq!(with_body(&body_field(&[1; 31], &[2; 32], 9)), Err(MailError::Body));
    assert_eq!(with_body(&body_field(&[1; 32], &[2; 33], 9)), Err(MailError::Body));
    assert_eq!(with_body(&[0x82, 0x01, 0]), Err(MailError::Body), "neither key nor digest nor size");
    let octets = [0x7a, 1, b'x'];
    let both = [&octets[..], &body_field(&[1; 32], &[2; 32], 9)].concat();
    assert_eq!(with_body(&both), Err(MailError::Body));
    let twice = body_field(&[1; 32], &[2; 32], 9).repeat(2);
    assert_eq!(with_body(&twice), Err(MailError::Malformed(Malformed)));
}

#[test]
fn the_null_reverse_path_survives() {
    let mut bounce = mail();
    bounce.envelope.reverse_path.clear();
    assert_eq!(Mail::decode(bounce.encode()), Ok(bounce));
}

#[test]
fn an_envelope_for_some_keeps_what_was_asked_for_each_of_them() {
    let (bob, eve) = ("bob@globex.example".to_owned(), "eve@globex.example".to_owned());
    let mut both = mail().envelope;
    both.forward_paths = vec![bob.clone(), eve.clone()];
    both.wishes = vec![wish(Notify::Never), wish(Notify::Unspecified)];
    let eves = both.narrowed(std::slice::from_ref(&eve));
    assert_eq!((&eves.forward_paths, &eves.wishes), (&vec![eve], &vec![wish(Notify::Unspecified)]));
    assert!(Mail::decode(Mail { envelope: eves, content: Content::Inline(Bytes::new()) }.encode()).is_ok());
    both.wishes.clear();
    assert!(both.narrowed(&[bob]).wishes.is_empty());
}

#[test]
fn envelopes_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut MailEnvelope)| {
        let mut mail = mail();
        change(&mut mail.envelope);
        Mail::decode(mail.encode()).unwrap_err()
    };
    assert_eq!(refused(|e| e.forward_paths.clear()), MailError::ForwardPaths);
    assert_eq!(refused(|e| e.forward_paths = vec!["b@g".into(); 1001]), MailError::ForwardPaths);
    assert_eq!(refused(|e| e.forward_paths = vec!["b@g".into(); 2008]), MailError::Malformed(Malformed));
    assert_eq!(refused(|e| e.forward_paths.push(String::new())), MailError::Path);
    assert_eq!(refused(|e| e.forward_paths.push("b@g>\r\nDATA".into())), MailError::Path);
    assert_eq!(refused(|e| e.reverse_path = "a@b\0".into()), MailError::Path);
    assert_eq!(refused(|e| e.reverse_path = "a".repeat(513)), MailError::Path);
}

#[test]
fn requests_for_reports_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut MailEnvelope)| {
        let mut mail = mail();
        change(&mut mail.envelope);
        Mail::decode(mail.encode()).unwrap_err()
    };
    assert_eq!(refused(|e| drop(e.wishes.pop())), MailError::Wish, "one for each, or none");
    assert_eq!(refused(|e| e.wishes.push(Wish::default())), MailError::Wish);
    assert_eq!(refused(|e| e.envelope_id = Some("a\r\nb".into())), MailError::Wish);
    assert_eq!(refused(|e| e.envelope_id = Some("a".repeat(101))), MailError::Wish);
    let original = |kind: &str, address: &str| {
        let mut mail = mail();
        let original = OriginalRecipient { kind: kind.into(), address: address.into() };
        mail.envelope.wishes[0].original = Some(original);
        Mail::decode(mail.encode()).map(drop)
    };
    assert_eq!(original("utf-8", "b\u{f6}b@acme.example"), Ok(()));
    for (kind, address) in [("rfc822", ""), ("", "b@g"), ("rfc;822", "b@g"), ("rfc822", "b@g\n")] {
        assert_eq!(original(kind, address), Err(MailError::Wish), "{kind} {address}");
    }
    assert_eq!(original(&"a".repeat(33), "b@g"), Err(MailError::Wish));
    assert_eq!(original("rfc822", &"b".repeat(501)), Err(MailError::Wish));
}

#[test]
fn a_request_that_says_never_and_something_else_is_refused() {
    // Field 8, four octets or two: notify = …
    let with = |notify: u8| {
        let plain = MailEnvelope { forward_paths: vec!["b@g".into()], ..MailEnvelope::default() };
        let mail = Mail { envelope: plain, content: Content::Inline(Bytes::new()) };
        Mail::decode([&mail.encode()[..], &[0x42, 2, 8, notify]].concat().into())
    };
    for good in [1, 2, 4, 8, 14] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in [3, 9, 15, 16, 18] {
        assert_eq!(with(bad), Err(MailError::Wish), "{bad}");
    }
}

#[test]
fn a_mail_with_fields_we_do_not_know_is_refused() {
    let payload = [&mail().encode()[..], &[0x48, 1]].concat();
    assert_eq!(Mail::decode(payload.into()), Err(MailError::Malformed(Malformed)));
}

fn receipt() -> Receipt {
    Receipt {
        message_id: Uuid::from_u128(7),
        digest: [3; 32],
        time: UnixMillis(1_800_000_000_000),
        outcomes: vec![
            Outcome {
                recipient: "bob@globex.example".into(),
                action: Action::Delivered,
                status: "2.1.5".into(),
                diagnostic: "250 2.1.5 ok".into(),
            },
            Outcome {
                recipient: "eve@globex.example".into(),
                action: Action::Failed,
                status: "5.1.1".into(),
                diagnostic: String::new(),
            },
        ],
    }
}

#[test]
fn receipts_come_out_as_they_went_in() {
    let mut unopened = Receipt { message_id: Uuid::nil(), ..receipt() };
    unopened.outcomes.remove(0);
    unopened.outcomes[0].recipient.clear();
    let batch = vec![receipt(), Receipt { outcomes: vec![], ..receipt() }, unopened];
    assert_eq!(receipt::decode(&receipt::encode(&batch)), Ok(batch));
    assert_eq!(receipt::decode(&[]), Ok(vec![]));
}

#[test]
fn a_foreign_servers_words_become_one_bounded_line() {
    let mut long = receipt();
    long.outcomes[0].diagnostic =
        format!("550-first\r\n550 second\u{1b}[31m{}", "ü".repeat(DIAGNOSTIC_BYTES_MAX));
    let decoded = receipt::decode(&receipt::encode(&[long])).unwrap();
    let diagnostic = &decoded[0].outcomes[0].diagnostic;
    assert!(diagnostic.starts_with("550-first  550 second [31mü"));
    assert!(diagnostic.len() <= DIAGNOSTIC_BYTES_MAX && diagnostic.len() > DIAGNOSTIC_BYTES_MAX - 2);
}

#[test]
fn receipts_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut Outcome)| {
        let mut receipt = receipt();
        change(&mut receipt.outcomes[0]);
        receipt::decode(&receipt::encode(&[receipt])).unwrap_err()
    };
    assert_eq!(refused(|o| o.recipient = "a\nb".into()), ReceiptError::OutOfBounds("recipient"));
    for status in ["", "2", "2.1", "3.1.1", "2.1.1.1", "2.1000.1", "2.a.1", "2..1"] {
        let mut receipt = receipt();
        receipt.outcomes[0].status = status.into();
        let refused = receipt::decode(&receipt::encode(&[receipt]));
        assert_eq!(refused, Err(ReceiptError::OutOfBounds("status")), "{status}");
    }
    let crowd = Receipt { outcomes: vec![receipt().outcomes.remove(0); 1001], ..receipt() };
    assert_eq!(receipt::decode(&receipt::encode(&[crowd])), Err(Malformed.into()));
    let many = vec![Receipt { outcomes: vec![], ..receipt() }; 257];
    assert_eq!(receipt::decode(&receipt::encode(&many)), Err(Malformed.into()));
}

fn body(frame: &Frame) -> Bytes {
    let encoded = frame::encode(frame);
    let length = u32::from_be_bytes(encoded[..LENGTH_BYTES].try_into().unwrap());
    assert_eq!(length as usize, encoded.len() - LENGTH_BYTES);
    encoded.slice(LENGTH_BYTES..)
}

fn frames() -> Vec<Frame> {
    let refusal = |seq, code| Refusal { seq, code, reason: "no".into() };
    vec![
        Frame::Hello {
            version: 1,
            node_record: vec![1; 4000].into(),
            prekeys: vec![vec![2; 4000].into(); 2],
            head: vec![4; 9000].into(),
        },
        Frame::Message { seq: 1, sealed: vec![3; 100_000].into() },
        Frame::Message { seq: u64::MAX, sealed: Bytes::new() },
        Frame::Chunk { body: BodyDigest::from_bytes([5; 32]), index: 255, octets: vec![6; 17].into() },
        Frame::Ack { upto: 0, refused: vec![] },
        Frame::Ack {
            upto: 9,
            refused: vec![refusal(3, RefusalCode::UnknownKey), refusal(4, RefusalCode::Other(99))],
        },
        Frame::Goodbye { code: GoodbyeCode::ShuttingDown, reason: "later".into() },
        Frame::Goodbye { code: GoodbyeCode::Other(77), reason: String::new() },
    ]
}

#[test]
fn frames_come_out_as_they_went_in() {
    for frame in frames() {
        assert_eq!(frame::decode(body(&frame)), Ok(frame));
    }
}

#[test]
fn a_sealed_message_in_a_frame_is_not_copied_when_read() {
    let body = body(&Frame::Message { seq: 1, sealed: vec![3; 1000].into() });
    let Ok(Frame::Message { sealed, .. }) = frame::decode(body.clone()) else { panic!("not a message") };
    assert!(body.as_ptr_range().contains(&sealed.as_ptr()));
}

#[test]
fn codes_keep_their_numbers() {
    for number in 0..20 {
        assert_eq!(RefusalCode::from_number(number).number(), number);
        assert_eq!(GoodbyeCode::from_number(number).number(), number);
    }
    assert_eq!(RefusalCode::from_number(5), RefusalCode::UnknownKey);
    assert_eq!(GoodbyeCode::from_number(6), GoodbyeCode::Protocol);
}

#[test]
fn reasons_become_one_bounded_line_and_others_are_refused() {
    let long = Frame::Goodbye { code: GoodbyeCode::Protocol, reason: "a\n".repeat(REASON_BYTES_MAX) };
    let Ok(Frame::Goodbye { reason, .. }) = frame::decode(body(&long)) else { panic!("not a goodbye") };
    assert_eq!(reason, "a ".repeat(REASON_BYTES_MAX / 2));
    // Goodbye { reason: "\n" } by hand: field 4, length 3; field 2, length 1.
    let hostile = Bytes::from_static(&[0x22, 3, 0x12, 1, b'\n']);
    assert_eq!(frame::decode(hostile), Err(FrameError::OutOfBounds("reason")));
}

#[test]
fn a_frame_is_one_known_kind_to_its_last_octet() {
    let goodbye = body(&Frame::Goodbye { code: GoodbyeCode::Protocol, reason: String::new() });
    let twice = Bytes::from([&goodbye[..], &goodbye[..]].concat());
    assert_eq!(frame::decode(twice), Err(Malformed.into()));
    assert_eq!(
        frame::decode(Bytes::from_static(&[0x22, 0, 0x08, 6])),
        Err(Malformed.into()),
        "a lying length"
    );
    assert_eq!(frame::decode(Bytes::new()), Err(Malformed.into()));
    assert_eq!(frame::decode(Bytes::from_static(&[0x32, 0])), Err(FrameError::UnknownKind(6)));
    assert_eq!(frame::decode(Bytes::from_static(&[0x08, 1])), Err(Malformed.into()), "not length-delimited");
    assert_eq!(frame::decode(Bytes::from_static(&[0xa2, 0x00, 0])), Err(Malformed.into()), "overlong key");
}

#[test]
fn chunks_that_no_body_has_are_refused() {
    let chunk = |index, length| {
        let octets = Bytes::from(vec![0; length]);
        frame::decode(body(&Frame::Chunk { body: BodyDigest::from_bytes([5; 32]), index, octets }))
    };
    assert!(chunk(0, CHUNK_SEALED_BYTES).is_ok());
    assert_eq!(chunk(CHUNKS_MAX, 1000), Err(FrameError::OutOfBounds("index")));
    assert_eq!(chunk(0, 16), Err(FrameError::OutOfBounds("octets")), "a tag and nothing");
    assert_eq!(chunk(0, CHUNK_SEALED_BYTES + 1), Err(FrameError::OutOfBounds("octets")));
    assert!(matches!(chunk(0, CHUNK_SEALED_BYTES + 100), Err(FrameError::TooLarge(_))));
    // A digest of one octet: field 5, length 3; field 1, length 1.
    let short = Bytes::from_static(&[0x2a, 3, 0x0a, 1, 9]);
    assert_eq!(frame::decode(short), Err(FrameError::OutOfBounds("body")));
}

#[test]
fn only_sealed_messages_make_large_frames() {
    let prekeys = vec![vec![0; RECORD_BYTES_MAX / 2].into(); 100];
    let hello = |node_record, prekeys, head| Frame::Hello { version: 1, node_record, prekeys, head };
    let crowd = hello(Bytes::new(), prekeys, Bytes::new());
    assert!(matches!(frame::decode(body(&crowd)), Err(FrameError::TooLarge(_))));
    let large = Bytes::from(vec![0; RECORD_BYTES_MAX + 1]);
    let record = hello(large.clone(), vec![], Bytes::new());
    assert_eq!(frame::decode(body(&record)), Err(FrameError::OutOfBounds("node_record")));
    let head = hello(Bytes::new(), vec![], large);
    assert_eq!(frame::decode(body(&head)), Err(FrameError::OutOfBounds("head")));
    // 60,000 empty refusals in 120 kB would take 2.4 MB: they are counted before they are read.
    let swarm = [&[0x1a, 0x80, 0xa9, 0x07][..], &[0x12, 0].repeat(60_032)].concat();
    assert!(swarm.len() < CONTROL_FRAME_BYTES_MAX);
    assert_eq!(frame::decode(swarm.into()), Err(Malformed.into()));
}

proptest! {
    #[test]
    fn decoders_never_panic_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Mail::decode(bytes.clone().into());
        let _ = receipt::decode(&bytes);
        let _ = frame::decode(bytes.into());
    }

    #[test]
    fn decoders_never_panic_on_altered_payloads(at: prop::sample::Index, octet: u8, which in 0..10_usize) {
        let mut bytes = match which {
            0 => mail().encode().to_vec(),
            1 => receipt::encode(&[receipt()]),
            frame => body(&frames()[frame - 2]).to_vec(),
        };
        let at = at.index(bytes.len());
        bytes[at] = octet;
        let _ = Mail::decode(bytes.clone().into());
        let _ = receipt::decode(&bytes);
        if let Ok(frame) = frame::decode(bytes.clone().into()) {
            // Whatever is accepted says the same when it is said again.
            prop_assert_eq!(frame::decode(body(&frame)), Ok(frame));
        }
    }

    #[test]
    fn any_mail_round_trips(
        reverse_path in "[ -~]{0,60}",
        forward_paths in vec("\\PC{1,60}", 1..5),
        flags: (bool, bool),
        octets in vec(any::<u8>(), 0..500),
    ) {
        let (body_8bit, smtputf8) = flags;
        let envelope =
            MailEnvelope { reverse_path, forward_paths, body_8bit, smtputf8, ..MailEnvelope::default() };
        let mail = Mail { envelope, content: Content::Inline(octets.into()) };
        prop_assert_eq!(Mail::decode(mail.encode()), Ok(mail));
    }
}
