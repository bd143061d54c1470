//! The envelope of a mail, from the words of SMTP into those in which it travels and rests, and back: who sends to whom,
//! what the message needs, and what the sender asked to be told (RFC 3461).

use dccp::limits;
use dccp::mail::{self, MailEnvelope, Return};
use smtp::address::Address;
use smtp::client::{Envelope, Wish};
use smtp::dsn::{self, Notify, OriginalRecipient, Ret};
use smtp::server::{MailFrom, RcptTo};

// What a client may say here can be read again when it has travelled or rested.
const _: () = assert!(
    dsn::ORCPT_OCTETS_MAX <= limits::ORIGINAL_RECIPIENT_BYTES_MAX
        && dsn::ADDRESS_TYPE_CHARS_MAX <= limits::ADDRESS_TYPE_BYTES_MAX
        && dsn::ENVID_CHARACTERS_MAX <= limits::ENVELOPE_ID_BYTES_MAX
);

/// As it travels and rests: what a client said of one mail to `to`.
pub fn taken(from: &MailFrom, to: &[RcptTo]) -> MailEnvelope {
    let wishes: Vec<mail::Wish> = to.iter().map(wish).collect();
    let said = wishes.iter().any(|wish| *wish != mail::Wish::default());
    MailEnvelope {
        reverse_path: from.reverse_path.to_string(),
        forward_paths: to.iter().map(|to| to.address.to_string()).collect(),
        body_8bit: from.body_8bit,
        smtputf8: from.smtputf8,
        require_tls: from.require_tls,
        returns: from.ret.map(|ret| match ret {
            Ret::Full => Return::Full,
            Ret::Headers => Return::Headers,
        }),
        envelope_id: from.envid.clone().filter(|id| !id.is_empty()),
        wishes: if said { wishes } else { Vec::new() },
    }
}

/// One of those whom mail to `alias` is for. Of an alias for several nobody reports the success of each: its sender is told
/// that it was expanded (RFC 3461 §5.2.7.3).
pub fn member_of(alias: &RcptTo, address: Address, is_list: bool) -> RcptTo {
    let notify = if is_list { alias.notify.without_success() } else { alias.notify };
    RcptTo { address, notify, orcpt: alias.orcpt.clone() }
}

/// What the next server is told for those of the recipients who are `pending`, all of it passed on (RFC 3461 §5.2.1).
pub fn passed_on(envelope: &MailEnvelope, pending: &[String]) -> Envelope {
    let envelope = envelope.narrowed(pending);
    Envelope {
        reverse_path: envelope.reverse_path,
        forward_paths: envelope.forward_paths,
        body_8bit: envelope.body_8bit,
        smtputf8: envelope.smtputf8,
        require_tls: envelope.require_tls,
        ret: envelope.returns.map(|returns| match returns {
            Return::Full => Ret::Full,
            Return::Headers => Ret::Headers,
        }),
        envid: envelope.envelope_id,
        wishes: envelope.wishes.into_iter().map(passed_on_wish).collect(),
    }
}

/// What our own mail server is told. It is the last to hold the mail, so it may report trouble, but never success: that
/// is reported by the gateway where the mail came in, by the word of the gateway that handed it over. Nor does it need
/// REQUIRETLS, which is about the way up to it.
pub fn handed_over(envelope: &MailEnvelope, pending: &[String]) -> Envelope {
    let mut envelope = Envelope { require_tls: false, ..passed_on(envelope, pending) };
    envelope.wishes.iter_mut().for_each(|wish| wish.notify = wish.notify.without_success());
    envelope
}

fn wish(to: &RcptTo) -> mail::Wish {
    let notify = match to.notify {
        Notify::Unspecified => mail::Notify::Unspecified,
        Notify::Never => mail::Notify::Never,
        Notify::On { success, failure, delay } => mail::Notify::On { success, failure, delay },
    };
    let original = to.orcpt.clone().map(|it| mail::OriginalRecipient { kind: it.kind, address: it.address });
    mail::Wish { notify, original }
}

fn passed_on_wish(mail::Wish { notify, original }: mail::Wish) -> Wish {
    let notify = match notify {
        mail::Notify::Unspecified => Notify::Unspecified,
        mail::Notify::Never => Notify::Never,
        mail::Notify::On { success, failure, delay } => Notify::On { success, failure, delay },
    };
    let orcpt = original.map(|it| OriginalRecipient { kind: it.kind, address: it.address });
    Wish { notify, orcpt }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Notify = Notify::On { success: true, failure: true, delay: true };

    fn from(ret: Option<Ret>, envid: Option<&str>) -> MailFrom {
        let (reverse_path, envid) = ("alice@acme.test".parse().unwrap(), envid.map(str::to_owned));
        MailFrom {
            reverse_path,
            size: None,
            body_8bit: false,
            smtputf8: false,
            ret,
            envid,
            require_tls: false,
        }
    }

    fn envelope() -> MailEnvelope {
        let to = |address: &str, notify, original: Option<&str>| RcptTo {
            address: address.parse().unwrap(),
            notify,
            orcpt: original.map(|it| it.parse().unwrap()),
        };
        let success = Notify::On { success: true, failure: false, delay: false };
        let bob = to("bob@globex.test", ALL, Some("rfc822;team@acme.test"));
        taken(
            &from(Some(Ret::Headers), Some("order 7")),
            &[bob, to("eve@globex.test", success, None), to("joe@globex.test", Notify::Never, None)],
        )
    }

    #[test]
    fn what_was_asked_goes_on_to_the_next_server_for_those_who_are_left() {
        let pending = ["joe@globex.test".to_owned(), "bob@globex.test".to_owned()];
        let told = passed_on(&envelope(), &pending);
        assert_eq!((told.ret, told.envid.as_deref()), (Some(Ret::Headers), Some("order 7")));
        let [joe, bob] = &told.wishes[..] else { panic!("{told:?}") };
        assert_eq!((joe.notify, bob.notify), (Notify::Never, ALL));
        assert_eq!(bob.orcpt.as_ref().unwrap().to_string(), "rfc822;team@acme.test");
    }

    #[test]
    fn our_own_mail_server_is_never_asked_to_report_success() {
        let told = handed_over(&envelope(), &envelope().forward_paths);
        let notify: Vec<Notify> = told.wishes.iter().map(|wish| wish.notify).collect();
        let trouble = Notify::On { success: false, failure: true, delay: true };
        assert_eq!(notify, [trouble, Notify::Never, Notify::Never]);
        assert!(told.wishes[0].orcpt.is_some());
    }

    #[test]
    fn who_asked_for_nothing_asks_the_next_server_for_nothing() {
        let to =
            |path: &str| RcptTo { address: path.parse().unwrap(), notify: Notify::Unspecified, orcpt: None };
        let envelope = taken(&from(None, None), &[to("bob@globex.test")]);
        assert!(envelope.wishes.is_empty());
        assert!(passed_on(&envelope, &envelope.forward_paths).wishes.is_empty());
    }
}
