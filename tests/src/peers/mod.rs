//! Mail software that nobody here wrote, on loopback, as an organisation would run it.
//!
//! ```text
//! clients::swaks | s_nail | neomutt | msmtp ─► Postfix ─► (relayhost: a gateway)
//!                                                 └─lmtp─► Dovecot ─► mailbox() | imap_fetch_all()
//! smtp_source ─► … ─► SmtpSink                    load without storage
//! ```
//!
//! Each server is a real process in a folder of its own, started on free ports and waited for until it
//! greets. It is killed with its whole process group when the fixture is dropped, and shows the end of its log
//! when that happens in a failing test. A binary that is missing panics with the line that installs it.
//!
//! All of this blocks: what is tested runs in processes of its own.

mod chromium;
pub mod clients;

mod dns;
mod dovecot;
mod imap;
mod judges;
mod pebble;
mod port;
mod postfix;
mod process;
mod python_email;
mod sink;
mod softhsm;
mod thunderbird;

use std::time::{Duration, Instant};

pub use chromium::Chromium;
pub use dns::{Dns, Zone};
pub use dovecot::Dovecot;
pub use imap::imap_fetch_all;
pub use judges::{Judges, PeerKey};
pub use pebble::{Pebble, PebbleConfig};
pub use port::free_port;
pub use postfix::{Postfix, PostfixConfig};
pub use python_email::read_mail;
pub use sink::{SmtpSink, smtp_source};
pub use softhsm::SoftHsm;
pub use thunderbird::Thunderbird;

/// How often a thing is asked that offers nothing to wait on.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Asks until there is an answer, and panics with `what` when there is none within `deadline`. For things that
/// happen in another process and offer nothing to wait on.
pub fn await_within<T>(deadline: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain until {what}");
        std::thread::sleep(ASK_AGAIN);
    }
}
