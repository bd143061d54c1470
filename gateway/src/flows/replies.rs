//! Everything the flows say to an SMTP client, in one table.

use policies::Refusal;
use smtp::reply::{Enhanced, Reply};

use crate::flows::bodies::PutAwayError;
use crate::spool::SpoolError;

/// It is ours now.
pub(super) fn queued(queue_id: &str) -> Reply {
    Reply::new(250, Enhanced(2, 0, 0), format!("Ok: queued as {queue_id}"))
}

/// The judge's no, in the judge's words.
pub(super) fn refused(refusal: &Refusal) -> Reply {
    let general = if refusal.is_temporary() { Enhanced(4, 7, 1) } else { Enhanced(5, 7, 1) };
    Reply::new(refusal.code, refusal.enhanced.parse().unwrap_or(general), refusal.text.clone())
}

/// A look-up that failed is never "no gateway" (RFC 3463 §3.5: X.4.3, directory server failure).
pub(super) fn unclear() -> Reply {
    let text = "It cannot be found out now whether this domain has a gateway, please try again";
    Reply::new(451, Enhanced(4, 4, 3), text)
}

/// RFC 5321 §4.5.3.1.10: 452, and the rest in another mail.
pub(super) fn too_many_recipients() -> Reply {
    Reply::new(
        452,
        Enhanced(4, 5, 3),
        "Too many recipients for one mail, please send it to the others separately",
    )
}

/// RFC 3463 §3.2: X.1.1, bad destination mailbox address.
pub(super) fn no_such_agent() -> Reply {
    Reply::new(550, Enhanced(5, 1, 1), "No agent has this address")
}

/// Something of ours is not in order; the mail is welcome later.
pub(super) fn not_ready() -> Reply {
    Reply::new(451, Enhanced(4, 3, 0), "The gateway cannot take this mail at the moment, please try again")
}

/// As [`not_kept`], for the octets of the mail.
pub(super) fn not_put_away(error: &PutAwayError) -> Reply {
    match error {
        PutAwayError::Spool(error) => not_kept(error),
        PutAwayError::Body(_) => not_ready(),
    }
}

/// The mail could not be kept (RFC 5321 §4.2.2: 452 for storage, 451 for other local errors).
pub(super) fn not_kept(error: &SpoolError) -> Reply {
    match error {
        SpoolError::Full => {
            Reply::new(452, Enhanced(4, 3, 1), "The gateway's disk is full, please try again later")
        }
        SpoolError::ArchiveFull => {
            Reply::new(452, Enhanced(4, 3, 1), "The gateway's archive is full, please try again later")
        }
        _ => not_ready(),
    }
}
