//! Where a message comes from: claims in our name, signatures and chains of custody.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use smtp::authenticity::{
    Arc, Dmarc, KeyPair, Outcome, Policy, Signer, Spf, SpfIdentity, Verdicts, forged_results,
};
use smtp::message::crlf_strict;

/// The name that no stranger may use.
const OURS: &str = "gw.acme.example";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let secret = KeyPair::generate().expect("keys");
    Signer::new(vec![KeyPair::of_secret("acme.example", "s1", &secret).expect("a pair")])
});

/// What is left out are whole lines in order, and what is left holds no claim any more.
pub(crate) fn claims(octets: &[u8]) -> bool {
    let mut left = Vec::new();
    let mut at = 0;
    for range in forged_results(octets, OURS) {
        assert!(at <= range.start && range.start < range.end, "ranges out of order");
        let kept = &octets[at..range.start];
        assert!(range.start == 0 || octets[..range.start].ends_with(b"\n"), "half a line was left");
        left.extend_from_slice(kept);
        at = range.end;
    }
    left.extend_from_slice(&octets[at..]);
    assert!(forged_results(&left, OURS).is_empty(), "a claim is left");
    at > 0
}

/// A seal over anything is three fields that SMTP can carry.
pub(crate) fn seal(octets: &[u8]) -> bool {
    let hello = String::from_utf8_lossy(octets).into_owned();
    let spf = Spf { outcome: Outcome::Neutral, identity: SpfIdentity::Helo(hello.clone()) };
    let verdicts = Verdicts {
        ip: [192, 0, 2, 7].into(),
        helo: spf.clone(),
        mail_from: spf,
        dkim: Vec::new(),
        dmarc: Dmarc { outcome: Outcome::Fail, domain: hello, policy: Policy::None, why: String::new() },
        arc: Arc { outcome: Outcome::Pass, instances: 1, sealer: None, why: String::new() },
        temporary: false,
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let Ok(Some(fields)) = SIGNER.seal("acme.example", octets, &verdicts, OURS, now) else { return false };
    assert_eq!(crlf_strict(fields.as_bytes()), Ok(()), "a bare line end in a field");
    let names: Vec<&str> = fields
        .lines()
        .filter(|line| !line.starts_with('\t'))
        .map(|line| line.split(':').next().unwrap_or(line))
        .collect();
    assert_eq!(names, ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"], "{fields}");
    assert!(fields.lines().all(|line| line.len() <= 998 && line.is_ascii()), "{fields}");
    true
}
