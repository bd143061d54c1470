//! A report is what RFC 8460 shows, and holds nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mail_parser::MimeHeaders;

use super::*;
use crate::route::{NoAnswer, mta_sts};

fn failure(result: &str, host: &str, reason: &str) -> Option<Failure> {
    let address = Some("203.0.113.58".parse().unwrap());
    Some(Failure { result: result.into(), host: host.into(), address, reason: reason.into() })
}

fn report<'a>(tallies: &'a [(Tally, u64)]) -> Report<'a> {
    let start = UNIX_EPOCH + Duration::from_secs(1_459_468_800);
    Report {
        organisation: "acme.test",
        contact: "postmaster@acme.test",
        id: "5065427c",
        domain: "globex.test",
        start,
        end: start + Duration::from_secs(86_399),
        tallies,
    }
}

fn sts() -> Policy {
    let file = b"version: STSv1\nmode: testing\nmx: *.mail.globex.test\nmax_age: 86400\n";
    Policy::sts(&mta_sts::Policy::parse(file).unwrap())
}

#[test]
fn a_report_counts_per_policy_and_gives_the_failures_their_details() {
    let tallies = [
        (Tally { policy: sts(), failure: None }, 5_326),
        (Tally { policy: sts(), failure: failure("certificate-expired", "mx1.mail.globex.test", "") }, 100),
        (
            Tally {
                policy: sts(),
                failure: failure("starttls-not-supported", "mx2.mail.globex.test", "no STARTTLS"),
            },
            200,
        ),
        (Tally { policy: Policy::none(), failure: None }, 7),
    ];
    let json: serde_json::Value = serde_json::from_str(&report(&tallies).json()).unwrap();
    assert_eq!(json["organization-name"], "acme.test");
    assert_eq!(json["contact-info"], "postmaster@acme.test");
    assert_eq!(json["report-id"], "5065427c");
    assert_eq!(json["date-range"]["start-datetime"], "2016-04-01T00:00:00Z");
    assert_eq!(json["date-range"]["end-datetime"], "2016-04-01T23:59:59Z");

    let plain = &json["policies"][0];
    assert_eq!(
        plain["policy"],
        serde_json::json!({"policy-type": "no-policy-found", "policy-domain": "globex.test"})
    );
    assert_eq!(plain["summary"]["total-successful-session-count"], 7);
    assert!(plain.get("failure-details").is_none());

    let sts = &json["policies"][1];
    assert_eq!(sts["policy"]["policy-type"], "sts");
    assert_eq!(sts["policy"]["mx-host"][0], "*.mail.globex.test");
    assert_eq!(sts["policy"]["policy-string"][1], "mode: testing");
    assert_eq!(sts["summary"]["total-successful-session-count"], 5_326);
    assert_eq!(sts["summary"]["total-failure-session-count"], 300);
    let expired = &sts["failure-details"][0];
    assert_eq!(expired["result-type"], "certificate-expired");
    assert_eq!(expired["receiving-mx-hostname"], "mx1.mail.globex.test");
    assert_eq!(expired["receiving-ip"], "203.0.113.58");
    assert_eq!(expired["failed-session-count"], 100);
    assert_eq!(sts["failure-details"][1]["failure-reason-code"], "no STARTTLS");
}

#[test]
fn only_what_concerns_tls_is_reported_of_hosts_that_were_not_spoken_to() {
    let result = |why: &Unusable| Failure::unusable("mx.globex.test", why).map(|failure| failure.result);
    assert_eq!(result(&NoAnswer::Bogus.into()).as_deref(), Some("dnssec-invalid"));
    assert_eq!(result(&Unusable::NotInPolicy).as_deref(), Some("validation-failure"));
    assert_eq!(result(&NoAnswer::Silent("timeout".into()).into()), None);
    assert_eq!(result(&Unusable::NoAddress), None);
    assert_eq!(Failure::policy(StsFailure::WebPki, "expired".into()).result, "sts-webpki-invalid");
}

#[test]
fn the_mail_is_a_multipart_report_whose_file_is_the_json() {
    let tallies =
        [(Tally { policy: sts(), failure: failure("validation-failure", "mx", &"long ".repeat(40)) }, 1)];
    let report = report(&tallies);
    let (from, to) = ("postmaster@acme.test".parse().unwrap(), "tls@globex.test".parse().unwrap());
    let mail = mail(&report, &from, &to, SystemTime::UNIX_EPOCH);
    assert!(mail.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes()).unwrap();
    assert_eq!(
        parsed.subject(),
        Some("Report Domain: globex.test Submitter: acme.test Report-ID: <5065427c>")
    );
    assert_eq!(parsed.header_raw("TLS-Report-Domain").map(str::trim), Some("globex.test"));
    assert_eq!(parsed.content_type().unwrap().attribute("report-type"), Some("tlsrpt"));
    let file = parsed.attachment(0).unwrap();
    let name = "acme.test!globex.test!1459468800!1459555199!5065427c.json";
    assert_eq!(file.attachment_name(), Some(name));
    assert_eq!(
        String::from_utf8_lossy(file.contents()).replace("\r\n", "\n").trim_end(),
        report.json().trim_end()
    );
}
