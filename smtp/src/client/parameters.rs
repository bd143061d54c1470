//! What MAIL and RCPT carry of a sender's wishes about reports (RFC 3461 §4), for servers that offer DSN.
//!
//! A value that we would not take from a client is not passed on: the report is poorer, the mail arrives, and no value
//! can bring a command along.

use super::{Envelope, Wish};
use crate::dsn::{Notify, OriginalRecipient, envid, envid_value};

/// `RET` and `ENVID`, each with a blank in front.
pub(super) fn of_mail(envelope: &Envelope) -> String {
    let ret = envelope.ret.map(|ret| format!(" RET={ret}"));
    let id = envelope.envid.as_deref().map(envid_value).filter(|value| envid(value).is_ok());
    let id = id.map(|value| format!(" ENVID={value}"));
    ret.into_iter().chain(id).collect()
}

/// `NOTIFY` and `ORCPT`, each with a blank in front.
pub(super) fn of_recipient(wish: &Wish) -> String {
    let notify = when(wish.notify).map(|when| format!(" NOTIFY={when}"));
    let original = wish.orcpt.as_ref().map(ToString::to_string);
    let original = original.filter(|value| value.parse::<OriginalRecipient>().is_ok());
    let original = original.map(|value| format!(" ORCPT={value}"));
    notify.into_iter().chain(original).collect()
}

fn when(notify: Notify) -> Option<String> {
    let (success, failure, delay) = match notify {
        Notify::Unspecified => return None,
        Notify::Never => return Some("NEVER".to_owned()),
        Notify::On { success, failure, delay } => (success, failure, delay),
    };
    let all = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
    let wanted: Vec<&str> = all.into_iter().filter_map(|(wanted, word)| wanted.then_some(word)).collect();
    (!wanted.is_empty()).then(|| wanted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::Ret;

    fn original(kind: &str, address: &str) -> Option<OriginalRecipient> {
        Some(OriginalRecipient { kind: kind.into(), address: address.into() })
    }

    #[test]
    fn wishes_are_spelled_in_xtext() {
        let envelope =
            Envelope { ret: Some(Ret::Headers), envid: Some("QQ+3 14=15".into()), ..Envelope::default() };
        assert_eq!(of_mail(&envelope), " RET=HDRS ENVID=QQ+2B3+2014+3D15");
        let notify = Notify::On { success: true, failure: false, delay: true };
        let wish = Wish { notify, orcpt: original("rfc822", "bob+x@corp.test") };
        assert_eq!(of_recipient(&wish), " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@corp.test");
        let wish = Wish { notify: Notify::Never, orcpt: original("utf-8", "jürgen@corp.test") };
        assert_eq!(of_recipient(&wish), " NOTIFY=NEVER ORCPT=utf-8;j\\x{FC}rgen@corp.test");
        assert_eq!(of_mail(&Envelope::default()) + &of_recipient(&Wish::default()), "");
    }

    #[test]
    fn what_cannot_be_spelled_is_left_out() {
        for id in ["", "a\r\nRCPT TO:<eve@corp.test>", "ü", &"x".repeat(101)] {
            let envelope = Envelope { envid: Some(id.into()), ..Envelope::default() };
            assert_eq!(of_mail(&envelope), "", "{id:?}");
        }
        let nobody = Notify::On { success: false, failure: false, delay: false };
        for (kind, address) in [
            ("rfc822 NOTIFY=NEVER", "a@b"),
            ("rfc822", ""),
            ("", "a@b"),
            ("rfc822", "a\r\n"),
            ("utf-8", "a\n"),
        ] {
            let wish = Wish { notify: nobody, orcpt: original(kind, address) };
            assert_eq!(of_recipient(&wish), "", "{kind:?} {address:?}");
        }
        let long = Wish { notify: Notify::Unspecified, orcpt: original("rfc822", &"x".repeat(500)) };
        assert_eq!(of_recipient(&long), "");
    }
}
