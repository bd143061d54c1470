//! A mail as somebody else's software understands it: Python's `email` package, which decodes what clients encode each in
//! their own way.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

const READER: &str = r#"
import base64, email, email.header, email.policy, json, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def clear(name):
    raw = next((value for key, value in mail.raw_items() if key.lower() == name), "").replace("\r\n", "")
    if any("\udc80" <= c <= "\udcff" for c in raw):  # UTF-8 as it is
        return raw.encode("ascii", "surrogateescape").decode("utf-8")
    return str(email.header.make_header(email.header.decode_header(raw)))
body = mail.get_body(("plain",))
files = [part for part in mail.walk() if part.get_filename()]
print(json.dumps({
    "subject": clear("subject"), "from": clear("from"), "to": clear("to"), "message_id": clear("message-id"),
    "in_reply_to": clear("in-reply-to"), "return_path": clear("return-path"), "type": mail.get_content_type(),
    "references": clear("references"), "auto_submitted": clear("auto-submitted"), "date": clear("date"),
    "body": body.get_content().replace("\r\n", "\n") if body else "",
    "payload": base64.b64encode(mail.get_payload(decode=True) or b"").decode(),
    "defects": [str(defect) for part in mail.walk() for defect in part.defects],
    "files": {part.get_filename(): base64.b64encode(part.get_payload(decode=True)).decode() for part in files},
}))
"#;

/// What it reads: header fields decoded, the text, attachments, and every defect it found.
pub fn read_mail(octets: &[u8]) -> Value {
    let mut python = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3: apt-get install python3");
    python.stdin.take().expect("a pipe").write_all(octets).expect("python3 reads");
    let done = python.wait_with_output().expect("python3 ends");
    assert!(done.status.success(), "not readable:\n{}", String::from_utf8_lossy(octets));
    serde_json::from_slice(&done.stdout).expect("JSON")
}
