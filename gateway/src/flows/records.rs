//! What the house keeps about a message beside its sealed body, and only sealed to itself: the [`Summary`] that
//! people see in the trace, the [`Slip`] from which a failure report is composed, and [`Progress`] of a
//! hand-over to several recipients. Clear forms exist in memory only.

use dccp::UnixMillis;
use dccp::mail::{MailEnvelope, Notify, Wish};
use dccp::receipt::{Action, Outcome};
use serde::{Deserialize, Serialize};

use crate::custody::{Vault, VaultError};
use crate::spool::RowId;

/// Purposes that bind a vault-sealed record to its place: a slip never opens as a summary.
pub mod purpose {
    /// [`super::Summary`].
    pub const SUMMARY: &str = "summary";
    /// [`super::Slip`].
    pub const SLIP: &str = "slip";
    /// [`super::Progress`].
    pub const PROGRESS: &str = "progress";
    /// Detail of a journal note (may name addresses).
    pub const NOTE: &str = "note";
    /// A receipt that waits to be sent.
    pub const RECEIPT: &str = "receipt";
    /// The signed bytes of a batch of receipts.
    pub const EVIDENCE: &str = "evidence";
    /// A mail of ours that waits in clear form: held before sealing, or a report for our own people.
    pub const MAIL: &str = "mail";
    /// A standing rule of holding.
    pub const HOLD_RULE: &str = "hold-rule";
    /// Keyed tag of a person or a domain in an archived mail.
    pub const ARCHIVED_PERSON: &str = "archived-person";
    /// What a legal hold names and why.
    pub const LEGAL_HOLD: &str = "legal-hold";
    /// Keyed tag of a sender's domain, for fair turns.
    pub const SENDER_DOMAIN: &str = "sender-domain";
    /// Keyed tag of an Internet Message-ID, for look-ups.
    pub const MESSAGE_ID: &str = "message-id";
}

/// The short name of a mail in SMTP replies, logs and traces: 16 letters, sorted by time.
pub fn queue_id_of(id: RowId) -> String {
    // Time first, so that names sort; then the random tail. In between is a counter whose upper bits rarely change.
    let [t0, t1, t2, t3, t4, t5, .., r0, r1, r2, r3] = *id.0.as_bytes();
    let bytes = [t0, t1, t2, t3, t4, t5, r0, r1, r2, r3];
    data_encoding::BASE32HEX_NOPAD.encode(&bytes)
}

/// SHA-256 over the parts as one string of bytes; the first part is a label with its own end.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Octets of the original's header section that a slip keeps for the report; RFC 3462 lets us cut there.
pub const SLIP_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Who wrote to whom: shown to administrators in the trace, never on disk in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Reverse-path; empty for the null sender.
    pub from: String,
    /// Forward-paths.
    pub to: Vec<String>,
    /// Internet Message-ID without angle brackets.
    pub message_id: Option<String>,
}

impl Summary {
    /// Of a row that nobody has looked into yet, or that carries no mail.
    pub fn unread() -> Self {
        Self { from: String::new(), to: Vec::new(), message_id: None }
    }

    /// Sealed to ourselves.
    pub fn seal(&self, vault: &Vault) -> Vec<u8> {
        seal_json(vault, purpose::SUMMARY, self)
    }

    /// Opens what [`Summary::seal`] made.
    pub fn open(vault: &Vault, sealed: &[u8]) -> Result<Self, RecordError> {
        open_json(vault, purpose::SUMMARY, sealed)
    }
}

/// What the sender must be told if the mail fails: the return slip of the path of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Where a report goes; empty: nowhere (RFC 5321 §4.5.5).
    pub reverse_path: String,
    /// The recipients of this row.
    pub recipients: Vec<String>,
    /// When we accepted the mail, Unix milliseconds.
    pub arrived_ms: u64,
    /// Header section of the original, at most [`SLIP_HEADER_BYTES_MAX`]; 8-bit octets survive as Latin-1.
    pub headers: String,
    /// The sender's own name for the mail (ENVID, RFC 3461 §4.4).
    #[serde(default)]
    pub envelope_id: Option<String>,
    /// What the sender wants to be told of each of the recipients; empty: what is customary.
    #[serde(default)]
    pub wanted: Vec<Wanted>,
    /// The mail travels under REQUIRETLS, and what is reported of it has to (RFC 8689 §5).
    #[serde(default)]
    pub require_tls: bool,
}

/// Of which events of one recipient the sender wants to be told (RFC 3461 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// It was delivered.
    pub success: bool,
    /// It was given up.
    pub failure: bool,
    /// It is late.
    pub delay: bool,
    /// Type and address of the recipient as the sender first wrote it (RFC 3461 §4.2).
    pub original: Option<(String, String)>,
}

impl Default for Wanted {
    /// Who says nothing is told of trouble (RFC 3461 §4.1: at least of failure).
    fn default() -> Self {
        Self { success: false, failure: true, delay: true, original: None }
    }
}

impl From<&Wish> for Wanted {
    fn from(wish: &Wish) -> Self {
        let original = wish.original.clone().map(|original| (original.kind, original.address));
        let (success, failure, delay) = match wish.notify {
            Notify::Unspecified => return Self { original, ..Self::default() },
            Notify::Never => (false, false, false),
            Notify::On { success, failure, delay } => (success, failure, delay),
        };
        Self { success, failure, delay, original }
    }
}

impl Slip {
    /// Of a mail that was accepted at `arrived`; `headers` are what [`Slip::headers_of`] cut.
    pub fn of(envelope: &MailEnvelope, arrived: UnixMillis, headers: String) -> Self {
        Self {
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.forward_paths.clone(),
            arrived_ms: arrived.0,
            headers,
            envelope_id: envelope.envelope_id.clone(),
            wanted: envelope.wishes.iter().map(Wanted::from).collect(),
            require_tls: envelope.require_tls,
        }
    }

    /// The same slip for these of its recipients only.
    pub fn narrowed(&self, recipients: &[String]) -> Self {
        let wanted = match self.wanted.is_empty() {
            true => Vec::new(),
            false => recipients.iter().map(|recipient| self.wanted(recipient)).collect(),
        };
        Self { recipients: recipients.to_vec(), wanted, ..self.clone() }
    }

    /// What the sender wants to be told of this recipient.
    pub fn wanted(&self, recipient: &str) -> Wanted {
        let at = self.recipients.iter().position(|named| named == recipient);
        at.and_then(|at| self.wanted.get(at)).cloned().unwrap_or_default()
    }

    /// Sealed to ourselves.
    pub fn seal(&self, vault: &Vault) -> Vec<u8> {
        seal_json(vault, purpose::SLIP, self)
    }

    /// Opens what [`Slip::seal`] made.
    pub fn open(vault: &Vault, sealed: &[u8]) -> Result<Self, RecordError> {
        open_json(vault, purpose::SLIP, sealed)
    }

    /// The header octets as they came.
    pub fn header_octets(&self) -> Vec<u8> {
        self.headers.chars().map(|c| c as u8).collect()
    }

    /// Cuts a header section to whole lines within the bound and makes it fit for JSON, octet for octet.
    pub fn headers_of(octets: &[u8], header_bytes: usize) -> String {
        let section = octets.get(..header_bytes.min(octets.len())).unwrap_or_default();
        let kept = match section.get(..SLIP_HEADER_BYTES_MAX) {
            None => section,
            Some(cut) => {
                let end = cut.windows(2).rposition(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
                cut.get(..end).unwrap_or_default()
            }
        };
        kept.iter().map(|&octet| char::from(octet)).collect()
    }
}

/// How far a hand-over has come: what is final, and who is still to be tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Final outcomes, for the receipt.
    pub done: Vec<Done>,
    /// Recipients that got a temporary answer.
    pub pending: Vec<String>,
    /// Aliases that the envelope names, in whose place their members are served.
    #[serde(default)]
    pub expanded: Vec<Expanded>,
}

/// An alias, and those whom it came to when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expanded {
    /// The recipient as the envelope names it.
    pub alias: String,
    /// Forward-paths. None of them is named by the envelope as well.
    pub members: Vec<String>,
}

/// The final outcome for one recipient, in the shape that rests (see [`Outcome`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Forward-path.
    pub recipient: String,
    /// Delivered, or failed for good.
    pub delivered: bool,
    /// RFC 3463 status.
    pub status: String,
    /// The answer of the mail server, or our own words.
    pub diagnostic: String,
    /// The mail server outside whose answer it is.
    #[serde(default)]
    pub server: Option<String>,
    /// There is nothing left to tell about it: whoever wants to know was told, or the server that took it has the duty to
    /// tell (RFC 3461 §5.2.1).
    #[serde(default)]
    pub told: bool,
}

impl Progress {
    /// Sealed to ourselves.
    pub fn seal(&self, vault: &Vault) -> Vec<u8> {
        seal_json(vault, purpose::PROGRESS, self)
    }

    /// Opens what [`Progress::seal`] made.
    pub fn open(vault: &Vault, sealed: &[u8]) -> Result<Self, RecordError> {
        open_json(vault, purpose::PROGRESS, sealed)
    }

    /// The outcomes of a receipt once nobody is to be served any more.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes_with(Vec::new())
    }

    /// The outcomes of a receipt, with what is said of those who are `waiting`. A receipt speaks of the recipients of its
    /// envelope: of aliases, not of their members.
    pub fn outcomes_with(&self, waiting: Vec<Outcome>) -> Vec<Outcome> {
        let all = self.done.iter().map(Done::outcome).chain(waiting);
        let is_member =
            |outcome: &Outcome| self.expanded.iter().any(|it| it.members.contains(&outcome.recipient));
        let (of_members, mut named): (Vec<Outcome>, Vec<Outcome>) = all.partition(is_member);
        named.extend(self.expanded.iter().map(|expanded| expanded.outcome(&of_members)));
        named
    }

    /// The outcomes that nobody was told of yet.
    pub fn untold(&self) -> Vec<News> {
        self.done.iter().filter(|done| !done.told).map(Done::news).collect()
    }

    /// From now on there is nothing left to tell about what is final.
    pub fn tell(&mut self) {
        self.done.iter_mut().for_each(|done| done.told = true);
    }

    /// Whether this recipient has an end, while others may still wait.
    pub fn has_ended(&self, recipient: &str) -> bool {
        self.done.iter().any(|done| done.recipient == recipient)
    }

    /// Whether there is nothing left to tell about this recipient.
    pub fn was_told(&self, recipient: &str) -> bool {
        self.done.iter().any(|done| done.told && done.recipient == recipient)
    }
}

impl Expanded {
    /// What became of the mail for the alias: it waits while one member does, and fails if one does not get it. Its words name
    /// none of them.
    fn outcome(&self, of_members: &[Outcome]) -> Outcome {
        let mine = || of_members.iter().filter(|outcome| self.members.contains(&outcome.recipient));
        let with = |action: Action| mine().filter(move |outcome| outcome.action == action);
        let (failed, number) = (with(Action::Failed).count(), self.members.len());
        let (action, status, diagnostic) = match (with(Action::Delayed).next(), with(Action::Failed).next()) {
            (Some(waits), _) => (Action::Delayed, waits.status.clone(), waits.diagnostic.clone()),
            (None, Some(first)) => {
                let words = format!("{failed} of {number} whom this alias is for cannot be reached");
                (Action::Failed, first.status.clone(), words)
            }
            (None, None) => (Action::Delivered, "2.1.5".to_owned(), "everybody has it".to_owned()),
        };
        Outcome { recipient: self.alias.clone(), action, status, diagnostic }
    }
}

impl Done {
    /// Given up for good, which its sender has to be told.
    pub fn failed(recipient: String, status: &str, why: &str) -> Self {
        let (status, diagnostic) = (status.to_owned(), why.to_owned());
        Self { recipient, delivered: false, status, diagnostic, server: None, told: false }
    }

    fn news(&self) -> News {
        let by = self.server.clone().map_or(Source::House, Source::MailServer);
        News { outcome: self.outcome(), by }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            recipient: self.recipient.clone(),
            action: if self.delivered { Action::Delivered } else { Action::Failed },
            status: self.status.clone(),
            diagnostic: self.diagnostic.clone(),
        }
    }
}

/// What a sender may have to be told of one recipient, and whose words that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What became of the mail. Without a recipient: for all who have no end yet.
    pub outcome: Outcome,
    /// Who said so.
    pub by: Source,
}

/// Who said what became of a mail: what a report calls `Remote-MTA` (RFC 3464 §2.3.5), if anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// We, or our own mail server.
    House,
    /// The mail server of this name, in a reply.
    MailServer(String),
    /// The gateway of the partner with this domain, in a receipt.
    Partner(String),
}

impl News {
    /// Our own finding.
    pub fn ours(outcome: Outcome) -> Self {
        Self { outcome, by: Source::House }
    }

    /// The signed word of the partner with this `domain`.
    pub fn of_partner(outcome: &Outcome, domain: &str) -> Self {
        Self { outcome: outcome.clone(), by: Source::Partner(domain.to_owned()) }
    }
}

/// A record of ours that does not open: the storage key is not the one it was sealed with, or the disk lies.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not sealed by this vault for this purpose.
    #[error("a record of the spool does not open: {0}")]
    Sealed(#[from] VaultError),
    /// Opened, but not what this version writes.
    #[error("a record of the spool is not readable: {0}")]
    Shape(#[from] serde_json::Error),
}

fn seal_json<T: Serialize>(vault: &Vault, purpose: &'static str, value: &T) -> Vec<u8> {
    // Serialising these plain structs to memory has no failing case; an empty record would show as unreadable.
    vault.seal(purpose, &serde_json::to_vec(value).unwrap_or_default())
}

fn open_json<T: for<'de> Deserialize<'de>>(
    vault: &Vault,
    purpose: &'static str,
    sealed: &[u8],
) -> Result<T, RecordError> {
    Ok(serde_json::from_slice(&vault.open(purpose, sealed)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_mails_in_one_millisecond_get_a_thousand_names() {
        let names: std::collections::HashSet<_> = (0..1_000).map(|_| queue_id_of(RowId::fresh())).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|name| name.len() == 16));
    }

    #[test]
    fn header_octets_survive_the_slip_one_for_one() {
        let octets: Vec<u8> = (0u8..=255).collect();
        let headers = Slip::headers_of(&octets, octets.len());
        let slip = Slip::of(&MailEnvelope::default(), UnixMillis(0), headers);
        assert_eq!(slip.header_octets(), octets);
    }

    #[test]
    fn a_receipt_speaks_of_an_alias_and_never_of_its_members() {
        let done = |recipient: &str, delivered| Done {
            delivered,
            ..Done::failed(recipient.to_owned(), if delivered { "2.0.0" } else { "5.1.1" }, "said so")
        };
        let mut progress = Progress {
            done: vec![
                done("bob@acme.test", true),
                done("eve@acme.test", true),
                done("joe@acme.test", false),
            ],
            expanded: vec![
                Expanded { alias: "team@acme.test".into(), members: vec!["eve@acme.test".into()] },
                Expanded {
                    alias: "all@acme.test".into(),
                    members: vec!["eve@acme.test".into(), "joe@acme.test".into()],
                },
            ],
            ..Progress::default()
        };
        let said = |outcomes: &[Outcome]| -> Vec<(String, Action, String)> {
            outcomes.iter().map(|it| (it.recipient.clone(), it.action, it.status.clone())).collect()
        };
        let [bob, team] = ["bob@acme.test", "team@acme.test"].map(str::to_owned);
        let all = "all@acme.test".to_owned();
        let outcomes = progress.outcomes();
        let wanted = [
            (bob.clone(), Action::Delivered, "2.0.0".to_owned()),
            (team.clone(), Action::Delivered, "2.1.5".to_owned()),
            (all.clone(), Action::Failed, "5.1.1".to_owned()),
        ];
        assert_eq!(said(&outcomes), wanted);
        assert!(outcomes[2].diagnostic.starts_with("1 of 2") && !outcomes[2].diagnostic.contains('@'));

        let waits = Outcome {
            recipient: progress.done.remove(1).recipient,
            action: Action::Delayed,
            status: "4.0.0".to_owned(),
            diagnostic: "not yet".to_owned(),
        };
        let actions: Vec<Action> =
            progress.outcomes_with(vec![waits]).into_iter().map(|outcome| outcome.action).collect();
        assert_eq!(actions, [Action::Delivered, Action::Delayed, Action::Delayed]);
    }

    #[test]
    fn a_long_header_section_is_cut_between_lines() {
        let section = "X-Filler: 0123456789\r\n".repeat(3_000);
        let kept = Slip::headers_of(section.as_bytes(), section.len());
        assert!(
            kept.len() <= SLIP_HEADER_BYTES_MAX
                && kept.ends_with("\r\n")
                && kept.len() > SLIP_HEADER_BYTES_MAX - 30
        );
    }
}
