//! Call-ahead: asks our own mail server whether it knows a recipient, before the gateway promises to deliver to it.
//!
//! Whoever is refused at `RCPT TO` learns of it at once and from its own server; a report sent later would often go to a forged
//! address. Answers are remembered, so that a flood of guesses costs our mail server little.
//!
//! Invariant: a question without an answer is no answer: `451`, and never remembered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dccp::UnixMillis;
use smtp::address::Address;
use smtp::client::Pool;
use smtp::reply::{Enhanced, Reply};

/// Answers that are remembered. Beyond it the old ones go, or all if none is old.
const ANSWERS_MAX: usize = 10_000;

/// How long "yes" is believed: people seldom leave within the hour, and their mail is reported then.
const YES_MS: u64 = 60 * 60 * 1_000;

/// How long "no" is believed: whoever is new waits for mail.
const NO_MS: u64 = 5 * 60 * 1_000;

/// What our mail server says of recipients.
pub struct CallAhead {
    pool: Pool,
    answers: Mutex<HashMap<String, Answer>>,
}

struct Answer {
    is_known: bool,
    until: UnixMillis,
}

impl CallAhead {
    /// Asks over `pool`, whose timeouts are those of a client that waits at `RCPT TO`.
    pub fn new(pool: Pool) -> Self {
        Self { pool, answers: Mutex::default() }
    }

    /// Whether our mail server takes mail for this recipient.
    ///
    /// # Errors
    /// The reply for the client: `550 5.1.1` when it does not, `451` when it does not say.
    pub async fn ask(&self, recipient: &Address, now: UnixMillis) -> Result<(), Reply> {
        let key = recipient.to_string().to_lowercase();
        let remembered = self.answers().get(&key).filter(|answer| now < answer.until).map(|a| a.is_known);
        let is_known = match remembered {
            Some(is_known) => is_known,
            None => {
                let is_known = self.inquire(recipient).await?;
                self.remember(key, is_known, now);
                is_known
            }
        };
        match is_known {
            true => Ok(()),
            false => Err(Reply::new(550, Enhanced(5, 1, 1), "There is no such recipient here")),
        }
    }

    async fn inquire(&self, recipient: &Address) -> Result<bool, Reply> {
        let later = || {
            Reply::new(451, Enhanced(4, 4, 1), "The recipient cannot be verified now, please try again later")
        };
        match self.pool.would_take(recipient).await {
            Ok(reply) if reply.is_positive() => Ok(true),
            Ok(reply) if reply.is_permanent() => Ok(false),
            Ok(_) => Err(later()),
            Err(error) => {
                tracing::warn!(%error, "our mail server does not say whether it knows a recipient; the client was told to try again");
                Err(later())
            }
        }
    }

    fn remember(&self, recipient: String, is_known: bool, now: UnixMillis) {
        let mut answers = self.answers();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, answer| now < answer.until);
        }
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        let until = now.saturating_add_ms(if is_known { YES_MS } else { NO_MS });
        answers.insert(recipient, Answer { is_known, until });
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use smtp::client::{Protocol, Target};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    /// A mail server that knows bob, is not sure about carol, and counts what it is asked.
    async fn mail_server() -> (CallAhead, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let questions = Arc::new(AtomicUsize::new(0));
        let counted = questions.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut lines = BufReader::new(stream);
                lines.write_all(b"220 mx.test\r\n").await.unwrap();
                let mut line = String::new();
                while lines.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
                    let reply: &[u8] = match line.trim_end() {
                        "RCPT TO:<bob@acme.test>" => b"250 2.1.5 ok\r\n",
                        "RCPT TO:<carol@acme.test>" => b"450 4.2.0 perhaps\r\n",
                        rcpt if rcpt.starts_with("RCPT") => b"550 5.1.1 who?\r\n",
                        _ => b"250 ok\r\n",
                    };
                    counted.fetch_add(usize::from(line.starts_with("RCPT")), Ordering::Relaxed);
                    lines.write_all(reply).await.unwrap();
                    line.clear();
                }
            }
        });
        (CallAhead::new(Pool::new(Target::new(Protocol::Smtp, address, "gateway.test"))), questions)
    }

    async fn code(call_ahead: &CallAhead, recipient: &str, now: UnixMillis) -> String {
        let asked = call_ahead.ask(&recipient.parse().unwrap(), now).await;
        asked.err().map_or("ok".to_owned(), |reply| reply.to_string().chars().take(9).collect())
    }

    #[tokio::test]
    async fn answers_are_remembered_for_a_while_and_no_answer_never_is() {
        let (call_ahead, questions) = mail_server().await;
        for (recipient, expected, asked) in [
            ("bob@acme.test", "ok", 1),
            ("nobody@acme.test", "550 5.1.1", 1),
            ("carol@acme.test", "451 4.4.1", 2),
        ] {
            let before = questions.load(Ordering::Relaxed);
            for _ in 0..2 {
                assert_eq!(code(&call_ahead, recipient, NOW).await, expected);
            }
            assert_eq!(questions.load(Ordering::Relaxed) - before, asked, "{recipient}");
        }
        let later = NOW.saturating_add_ms(NO_MS);
        let before = questions.load(Ordering::Relaxed);
        assert_eq!(code(&call_ahead, "nobody@acme.test", later).await, "550 5.1.1");
        assert_eq!(code(&call_ahead, "bob@acme.test", later).await, "ok");
        assert_eq!(questions.load(Ordering::Relaxed) - before, 1, "no is forgotten before yes");
    }

    #[tokio::test]
    async fn a_flood_of_guesses_does_not_fill_the_memory() {
        let (call_ahead, _) = mail_server().await;
        for guess in 0..=ANSWERS_MAX {
            call_ahead.remember(format!("guess{guess}@acme.test"), false, NOW);
        }
        assert!(call_ahead.answers().len() <= ANSWERS_MAX);
    }
}
