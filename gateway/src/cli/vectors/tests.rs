use std::io::BufReader;

use super::*;

/// Every answer to these lines.
fn answers(lines: &[u8]) -> Vec<Value> {
    let mut heard = Vec::new();
    serve(&mut BufReader::with_capacity(64, lines), &mut heard).expect("memory");
    let lines = heard.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

fn ask(request: Value) -> Value {
    answers(request.to_string().as_bytes()).remove(0)
}

fn done(request: Value) -> Value {
    let answer = ask(request);
    assert!(answer["error"].is_null(), "{answer}");
    answer["ok"].clone()
}

fn with(mut request: Value, name: &str, value: impl Into<Value>) -> Value {
    request[name] = value.into();
    request
}

#[test]
fn an_answer_has_the_id_of_its_request_whatever_that_is() {
    for id in [json!(7), json!("seven"), json!({"a": [1]}), Value::Null] {
        let request = json!({"id": id, "op": "x25519.public", "private": "01".repeat(32)});
        assert_eq!(ask(request)["id"], id);
    }
}

#[test]
fn a_line_that_is_no_request_is_answered_and_the_next_one_is_read() {
    let good = json!({"id": 2, "op": "x25519.public", "private": "01".repeat(32)}).to_string();
    let lines = format!("nonsense\n\n[1]\n{{\"id\":1,\"op\":\"no such\"}}\n{{\"id\":1}}\n{good}");
    let errors: Vec<Value> =
        answers(lines.as_bytes()).into_iter().map(|answer| answer["error"].clone()).collect();
    let not_an_object = json!("NotAnObject");
    let missing = json!("Missing(\"op\")");
    let expected =
        [&not_an_object, &not_an_object, &not_an_object, &json!("UnknownOperation"), &missing, &Value::Null];
    assert_eq!(errors.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn octets_that_are_no_text_are_answered_too() {
    assert_eq!(answers(b"\xff\xfe\n{}\n").len(), 2);
}

#[test]
fn a_line_that_is_too_long_is_read_away() {
    let mut lines = vec![b'x'; LINE_BYTES_MAX as usize + 5];
    lines.extend(b"\n{}\n");
    let errors: Vec<Value> = answers(&lines).into_iter().map(|answer| answer["error"].clone()).collect();
    assert_eq!(errors, ["TooLong", "Missing(\"op\")"]);

    let mut longest = vec![b' '; LINE_BYTES_MAX as usize - 1];
    longest.push(b'\n');
    assert_eq!(answers(&longest)[0]["error"], "NotAnObject");
}

#[test]
fn no_refusal_repeats_what_it_was_asked() {
    let secret = "5ec2e7".repeat(12);
    for op in operations().map(|(name, _)| *name) {
        let fields = [
            "seed",
            "private",
            "key",
            "signing_seed",
            "recipient_seed",
            "message",
            "nonce",
            "log",
            "sealed",
            "mail",
            "octets",
        ];
        let mut request = json!({"op": op, "suite": 1, "id": 1});
        fields.into_iter().for_each(|field| request[field] = secret.clone().into());
        let answer = ask(request.clone());
        assert!(answer["ok"].is_object() || !answer.to_string().contains("5ec2e7"), "{answer}");
        for field in fields {
            let answer = ask(with(request.clone(), field, format!("{secret}z")));
            assert!(answer["ok"].is_object() || !answer.to_string().contains("5ec2e7"), "{answer}");
        }
    }
}

#[test]
fn what_is_encapsulated_is_decapsulated() {
    for (kem, seed_bytes) in [("x-wing", 32), ("ml-kem-768", 64)] {
        let op = |verb: &str| json!({"op": format!("{kem}.{verb}"), "seed": "07".repeat(seed_bytes)});
        let public = done(op("keygen"))["public"].clone();
        let made = done(with(op("encapsulate"), "public", public));
        let opened = done(with(op("decapsulate"), "ciphertext", made["ciphertext"].clone()));
        assert_eq!(opened["shared"], made["shared"]);
        assert_eq!(ask(with(op("decapsulate"), "ciphertext", "00"))["error"], "KemError");
        assert_eq!(ask(with(op("keygen"), "seed", "00"))["error"], "BadKey");
    }
}

#[test]
fn what_is_signed_is_verified_and_nothing_else() {
    for algorithm in ["ml-dsa-65", "ed25519", "fn-dsa-512"] {
        let op = |verb: &str| json!({"op": format!("{algorithm}.{verb}"), "seed": "09".repeat(32), "message": "0102"});
        let key = done(op("keygen"));
        let private = key["private"].clone();
        let signature = done(with(op("sign"), "private", private))["signature"].clone();
        let verify = with(with(op("verify"), "public", key["public"].clone()), "signature", signature);
        assert_eq!(done(verify.clone())["valid"], true, "{algorithm}");
        assert_eq!(done(with(verify, "message", "0103"))["valid"], false, "{algorithm}");
    }
}

#[test]
fn what_was_altered_does_not_open() {
    for aead in ["aes-256-gcm", "chacha20-poly1305"] {
        let op = |verb: &str| {
            let (key, nonce) = ("01".repeat(32), "02".repeat(12));
            json!({"op": format!("{aead}.{verb}"), "key": key, "nonce": nonce, "aad": "aa", "plaintext": "0a0b"})
        };
        let ciphertext = done(op("seal"))["ciphertext"].clone();
        let open = with(op("open"), "ciphertext", ciphertext);
        assert_eq!(done(open.clone())["plaintext"], "0a0b");
        assert_eq!(ask(with(open, "aad", "ab"))["error"], "NotAuthentic");
    }
}

#[test]
fn a_message_of_every_suite_opens() {
    let falcon = done(json!({"op": "fn-dsa-512.keygen"}));
    let ed25519 = done(json!({"op": "ed25519.keygen", "seed": "05".repeat(32)}));
    let ml_dsa = done(json!({"op": "ml-dsa-65.keygen", "seed": "05".repeat(32)}));
    let sender_key = [&ed25519, &ml_dsa].map(|key| key["public"].as_str().expect("text")).concat();
    for (suite, kem, seed_bytes) in
        [(1, "x-wing", 32), (2, "x-wing", 32), (257, "ml-kem-768", 64), (258, "x-wing", 32)]
    {
        let seed = "06".repeat(seed_bytes);
        let key = done(json!({"op": format!("{kem}.keygen"), "seed": seed}));
        let sealed = done(json!({
            "op": "seal", "suite": suite, "recipient_key": key["public"], "signing_seed": "05".repeat(64),
            "falcon_private": falcon["private"], "sender": format!("did:dccp:1{}", "a".repeat(52)),
            "recipient": format!("did:dccp:1{}", "b".repeat(51) + "a"), "content_type": "text/plain",
            "message_id": "01a31c5b-1c00-7000-8000-000000000001", "payload": "48656c6c6f",
            "timestamp": 1_800_000_000_000_u64, "expires": 1_800_000_060_000_u64, "now": 1_800_000_000_000_u64,
            "class": 4, "fs_class": 1,
        }));
        let open = json!({
            "op": "open", "sealed": sealed["sealed"], "recipient_seed": seed, "sender_key": sender_key,
            "falcon_public": falcon["public"], "now": 1_800_000_000_000_u64,
            "recipient": format!("did:dccp:1{}", "b".repeat(51) + "a"),
        });
        let opened = done(open.clone());
        assert_eq!((&opened["suite"], &opened["payload"]), (&json!(suite), &json!("48656c6c6f")));
        assert_eq!(ask(with(open.clone(), "now", 1_900_000_000_000_u64))["error"], "Expired");
        let stranger = format!("did:dccp:1{}", "a".repeat(52));
        assert_eq!(ask(with(open, "recipient", stranger))["error"], "NotForUs");
    }
}

#[test]
fn a_large_body_opens_whole_or_not_at_all() {
    let octets = "5a".repeat(300_000);
    let sealed = done(json!({"op": "body.seal", "octets": octets, "forward_path": "bob@globex.test"}));
    let open = json!({"op": "body.open", "mail": sealed["mail"], "chunks": sealed["chunks"]});
    assert_eq!(done(open.clone())["octets"], octets);
    let [first, second] = [0, 1].map(|at| sealed["chunks"][at].clone());
    assert_eq!(ask(with(open.clone(), "chunks", vec![first.clone()]))["error"], "Missing(1)");
    assert_eq!(ask(with(open.clone(), "chunks", vec![second, first]))["error"], "Length(0)");
    assert_eq!(ask(with(open.clone(), "chunks", "00"))["error"], "Wrong(\"chunks\")");
    let small = hex_of_a_small_mail();
    assert_eq!(ask(with(open, "mail", small))["error"], "NoBody");
}

/// A mail that carries its octets itself.
fn hex_of_a_small_mail() -> String {
    use dccp::mail::{Content, Mail, MailEnvelope};
    let forward_paths = vec!["bob@globex.test".to_owned()];
    let envelope = MailEnvelope { forward_paths, ..MailEnvelope::default() };
    primitives::hex(Mail { envelope, content: Content::Inline(b"small".to_vec().into()) }.encode())
}
