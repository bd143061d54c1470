//! Notice: a mail that the gateway writes itself. It has the null sender, so nobody answers it and nobody hears of its end (RFC
//! 5321 §4.5.5). For one of ours it waits for our mail server; for everybody else it is relayed, if the judge lets it leave.

use bytes::Bytes;
use dccp::UnixMillis;
use dccp::mail::{Content, Mail, MailEnvelope};
use federation::{Directory, Recognition};
use smtp::address::Address;

use crate::custody::Vault;
use crate::flows::records::{Summary, purpose, queue_id_of, sha256};
use crate::spool::{Direction, Kind, Lane, NewRow, RowId, State, Turn};

/// A mail of the gateway, ready for the spool.
pub struct Notice<'a> {
    /// Its row to be.
    pub id: RowId,
    /// Whom it is for.
    pub to: &'a Address,
    /// The whole message.
    pub octets: Bytes,
    /// It speaks of a mail that travelled under REQUIRETLS (RFC 8689 §5).
    pub require_tls: bool,
    /// When it was written.
    pub now: UnixMillis,
    /// Milliseconds it waits for the server that takes it.
    pub lifetime_ms: u64,
}

impl Notice<'_> {
    /// The row in which it waits, sealed to ourselves.
    pub fn row(self, vault: &Vault, directory: &Directory) -> NewRow {
        let Notice { id, to, octets, require_tls, now, lifetime_ms } = self;
        let (direction, kind, partner_domain) = match directory.recognise(to.as_str()) {
            Recognition::Ours(_) => (Direction::In, Kind::Report, String::new()),
            _ => (Direction::Out, Kind::Relay, to.domain().to_owned()),
        };
        let forward_paths = vec![to.to_string()];
        let envelope = MailEnvelope {
            forward_paths: forward_paths.clone(),
            body_8bit: !octets.is_ascii(),
            smtputf8: !to.as_str().is_ascii(),
            require_tls,
            ..MailEnvelope::default()
        };
        let size = octets.len() as u64;
        let mail = Mail { envelope, content: Content::Inline(octets) };
        NewRow {
            id,
            queue_id: queue_id_of(id),
            direction,
            kind,
            partner: None,
            partner_domain,
            body: vault.seal(purpose::MAIL, &mail.encode()).into(),
            large: None,
            slip: None,
            summary: Summary { from: String::new(), to: forward_paths, message_id: None }.seal(vault),
            message_id_tag: None,
            digest: sha256(&[b"DCCP-notice-v1\0", id.0.as_bytes()]),
            sealed_to: None,
            size,
            now,
            next_at: now,
            expires_at: now.saturating_add_ms(lifetime_ms),
            state: State::Queued,
            held_by: None,
            turn: Turn { lane: Lane::Reports, ..Turn::default() },
            leased: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_to_one_of_ours_goes_home_and_any_other_is_relayed_to_its_domain() {
        let vault = Vault::new(zeroize::Zeroizing::new([7; 32]));
        let did = "did:dccp:1z7enzfo3bwmrvvbadfekgxinhi2pv3z6lcoa2zor3xl2tmdtafda".parse().unwrap();
        let directory = Directory::of_domains(did, &["acme.test".to_owned()]);
        for (to, kind, domain) in
            [("alice@acme.test", Kind::Report, ""), ("carol@Initech.test", Kind::Relay, "initech.test")]
        {
            let notice = Notice {
                id: RowId::fresh(),
                to: &to.parse().unwrap(),
                octets: Bytes::from_static(b"Subject: x\r\n\r\n"),
                require_tls: true,
                now: UnixMillis(1),
                lifetime_ms: 1,
            };
            let row = notice.row(&vault, &directory);
            assert_eq!((row.kind, row.partner_domain.as_str()), (kind, domain));
            let mail = Mail::decode(vault.open(purpose::MAIL, &row.body).unwrap().to_vec().into()).unwrap();
            assert!(mail.envelope.reverse_path.is_empty() && mail.envelope.require_tls && row.slip.is_none());
        }
    }
}
