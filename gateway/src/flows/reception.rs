//! Reception: which flow a mail takes, by the door it came in through, and who the people at the doors are.
//!
//! ```text
//! relay       our own mail servers ──────────────────────┐
//! submission  our own people: AUTH, then what is missing ┼─► mail_out
//! mx          the outside world ─────────────────────────┴─► mail_home
//! ```

use std::sync::Arc;

use bytes::Bytes;
use smtp::reply::{Enhanced, Reply};
use smtp::server::{AuthRefusal, Client, Credentials, Event, MailFrom, RcptTo, Role, ScramKeys};

use super::mail_home::{self, MailHome};
use super::mail_out::{self, MailOut};
use super::records::queue_id_of;
use super::replies;
use crate::clock::system_time;
use crate::config::SubmissionFrom;
use crate::spool::RowId;
use crate::users::{User, Verifier};

/// All doors for mail, and what is behind them.
pub struct Reception {
    /// What our own servers and people send.
    pub out: MailOut,
    /// What the outside world sends; only where there is a door for it.
    pub home: Option<MailHome>,
    /// Who our people are; only where somebody can tell.
    pub users: Option<Arc<dyn Verifier>>,
    /// Whom the From field of our people's mail may name.
    pub authors: SubmissionFrom,
}

/// One mail between `MAIL FROM` and the final `250`.
pub enum Transaction {
    /// From one of our own mail servers.
    Relayed(mail_out::Transaction),
    /// From one of our own people.
    Submitted(mail_out::Transaction, User),
    /// From the outside world.
    FromOutside(mail_home::Transaction),
}

impl smtp::server::Reception for Reception {
    type Transaction = Transaction;

    async fn mail(&self, client: &Client, from: MailFrom) -> Result<Transaction, Reply> {
        match client.role {
            Role::Relay => Ok(Transaction::Relayed(self.out.mail(client, from, false))),
            Role::Submission => {
                let user = self.user(client).await?;
                let owns_sender = user.owns(&from.reverse_path.to_string());
                Ok(Transaction::Submitted(self.out.mail(client, from, owns_sender), user))
            }
            Role::Mx => {
                let home = self.home.as_ref().ok_or_else(replies::not_ready)?;
                Ok(Transaction::FromOutside(home.mail(client, from)))
            }
        }
    }

    async fn recipient(&self, tx: &mut Transaction, to: RcptTo) -> Result<(), Reply> {
        match (tx, &self.home) {
            (Transaction::Relayed(tx) | Transaction::Submitted(tx, _), _) => self.out.recipient(tx, to).await,
            (Transaction::FromOutside(tx), Some(home)) => home.recipient(tx, to).await,
            (Transaction::FromOutside(_), None) => Err(replies::not_ready()),
        }
    }

    async fn message(&self, tx: Transaction, octets: Bytes) -> Reply {
        match (tx, &self.home) {
            (Transaction::Relayed(tx), _) => self.out.message(tx, octets).await,
            (Transaction::Submitted(tx, user), _) => {
                let owns_from = self.authors == SubmissionFrom::Any || is_author(&user, &octets);
                self.out.message(tx.authored(owns_from), self.completed(octets)).await
            }
            (Transaction::FromOutside(tx), Some(home)) => home.message(tx, octets).await,
            (Transaction::FromOutside(_), None) => replies::not_ready(),
        }
    }

    async fn authenticate(&self, _client: &Client, credentials: Credentials) -> Result<String, AuthRefusal> {
        let users = self.users.as_ref().ok_or(AuthRefusal::NotHere)?;
        users.authenticate(credentials).await.map(|user| user.name().to_owned())
    }

    async fn scram(&self, _client: &Client, user: &str) -> Result<ScramKeys, AuthRefusal> {
        self.users.as_ref().ok_or(AuthRefusal::NotHere)?.scram(user).await
    }

    fn event(&self, event: Event) {
        self.out.metrics.smtp_event(&event);
    }
}

impl Reception {
    /// Who logged in, as known now: whoever was removed meanwhile sends no further mail.
    async fn user(&self, client: &Client) -> Result<User, Reply> {
        let stranger = || Reply::new(530, Enhanced(5, 7, 0), "Authentication required");
        let (users, name) = self.users.as_ref().zip(client.user.as_ref()).ok_or_else(stranger)?;
        users.user(name).await.map_err(|refusal| match refusal {
            AuthRefusal::Wrong | AuthRefusal::NotHere => stranger(),
            AuthRefusal::Unavailable => replies::not_ready(),
        })
    }

    /// A message as it has to be when it leaves its program: with a date and a name (RFC 6409 §8).
    fn completed(&self, octets: Bytes) -> Bytes {
        let (unique, now) = (queue_id_of(RowId::fresh()), system_time((self.out.clock)()));
        let missing = smtp::message::completion(&octets, &unique, &self.out.hostname, now);
        if missing.is_empty() {
            return octets;
        }
        // The only owner: the buffer is taken over and grows in place, so that a large message is not there twice.
        let mut whole = Vec::from(octets);
        whole.reserve_exact(missing.len());
        whole.splice(0..0, missing.into_bytes());
        whole.into()
    }
}

/// Whether the user is everybody whom the message names as its author (RFC 6409 §6.1). Without the field it claims nothing.
fn is_author(user: &User, octets: &[u8]) -> bool {
    smtp::message::authors(octets).is_some_and(|authors| authors.iter().all(|author| user.owns(author)))
}
