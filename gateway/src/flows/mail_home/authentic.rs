//! What `smtp::authenticity` found out, as facts for the judge, as a reply, and as an answer to "may we write back?".

use policies::{Authenticity, DmarcPolicy, Finding};
use smtp::authenticity::{Outcome, Policy, SpfIdentity, Verdicts};
use smtp::reply::{Enhanced, Reply};

/// For the judge.
pub(super) fn facts(verdicts: &Verdicts) -> Authenticity<'_> {
    let passed = verdicts.dkim.iter().find(|dkim| dkim.outcome == Outcome::Pass);
    let dkim = passed.or(verdicts.dkim.first()).map_or(Finding::None, |dkim| finding(dkim.outcome));
    Authenticity {
        spf: finding(verdicts.mail_from.outcome),
        dkim,
        dmarc: finding(verdicts.dmarc.outcome),
        dmarc_policy: match verdicts.dmarc.policy {
            Policy::None => DmarcPolicy::None,
            Policy::Quarantine => DmarcPolicy::Quarantine,
            Policy::Reject => DmarcPolicy::Reject,
        },
        from_domain: &verdicts.dmarc.domain,
    }
}

fn finding(outcome: Outcome) -> Finding {
    match outcome {
        Outcome::Pass => Finding::Pass,
        Outcome::Fail => Finding::Fail,
        Outcome::SoftFail => Finding::SoftFail,
        Outcome::Neutral => Finding::Neutral,
        Outcome::None => Finding::None,
        Outcome::TempError => Finding::TempError,
        // What we do not accept is, for a rule, what makes no sense.
        Outcome::Policy | Outcome::PermError => Finding::PermError,
    }
}

/// What the client hears when DNS did not answer and the answer would have decided: RFC 7372 §3.2 has a code for SPF, RFC 3463
/// §3.5 one for the rest.
pub(super) fn undecided(verdicts: &Verdicts) -> Reply {
    let text = "It cannot be found out at the moment whether this mail is authentic, please try again later";
    match verdicts.mail_from.outcome {
        Outcome::TempError => Reply::new(451, Enhanced(4, 7, 24), text),
        _ => Reply::new(451, Enhanced(4, 4, 3), text),
    }
}

/// Whether a report to the reverse-path reaches the one who sent the mail: its domain stands for it by SPF, or by DMARC as the
/// domain that people see. Everything else may be forged, and a report to it would be backscatter (RFC 5321 §6.2).
pub(super) fn is_certain(reverse_path: &str, verdicts: &Verdicts) -> bool {
    let Some((_, domain)) = reverse_path.rsplit_once('@') else { return false };
    let spf = matches!(verdicts.mail_from.identity, SpfIdentity::MailFrom(_))
        && verdicts.mail_from.outcome == Outcome::Pass;
    spf || (verdicts.dmarc.outcome == Outcome::Pass && verdicts.dmarc.domain.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use smtp::authenticity::{Arc, Dkim, Dmarc, Spf};

    use super::*;

    fn verdicts(spf: Outcome, dmarc: Outcome) -> Verdicts {
        let identity = SpfIdentity::MailFrom("carol@initech.test".to_owned());
        Verdicts {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            helo: Spf { outcome: Outcome::None, identity: SpfIdentity::Helo("mx.initech.test".to_owned()) },
            mail_from: Spf { outcome: spf, identity },
            dkim: Vec::new(),
            dmarc: Dmarc {
                outcome: dmarc,
                domain: "initech.test".to_owned(),
                policy: Policy::Reject,
                why: String::new(),
            },
            arc: Arc { outcome: Outcome::None, instances: 0, sealer: None, why: String::new() },
            temporary: false,
        }
    }

    fn signature(outcome: Outcome) -> Dkim {
        Dkim {
            outcome,
            domain: "initech.test".to_owned(),
            selector: "s".to_owned(),
            algorithm: "rsa-sha256",
            signature: String::new(),
            why: String::new(),
        }
    }

    #[test]
    fn one_good_signature_is_enough() {
        let mut verdicts = verdicts(Outcome::None, Outcome::None);
        assert_eq!(facts(&verdicts).dkim, Finding::None);
        verdicts.dkim = vec![signature(Outcome::Fail), signature(Outcome::Pass)];
        assert_eq!(facts(&verdicts).dkim, Finding::Pass);
        verdicts.dkim.pop();
        assert_eq!(facts(&verdicts).dkim, Finding::Fail);
    }

    #[test]
    fn only_a_sender_that_is_certain_is_written_to() {
        let carol = "carol@initech.test";
        assert!(is_certain(carol, &verdicts(Outcome::Pass, Outcome::None)));
        assert!(is_certain(carol, &verdicts(Outcome::Fail, Outcome::Pass)));
        assert!(!is_certain("carol@hooli.test", &verdicts(Outcome::None, Outcome::Pass)), "another's name");
        assert!(!is_certain("", &verdicts(Outcome::Pass, Outcome::Pass)), "a report");
        for weak in [Outcome::SoftFail, Outcome::Neutral, Outcome::None, Outcome::TempError] {
            assert!(!is_certain(carol, &verdicts(weak, Outcome::None)), "{weak:?}");
        }
        let mut by_name = verdicts(Outcome::Pass, Outcome::None);
        by_name.mail_from.identity = SpfIdentity::Helo("mx.initech.test".to_owned());
        assert!(!is_certain(carol, &by_name), "the host's name says nothing of the sender");
    }

    #[test]
    fn dns_that_is_silent_is_named_for_what_it_kept_back() {
        let code = |spf| undecided(&verdicts(spf, Outcome::TempError)).to_string();
        assert!(code(Outcome::TempError).starts_with("451 4.7.24"), "{}", code(Outcome::TempError));
        assert!(code(Outcome::Pass).starts_with("451 4.4.3"));
    }
}
