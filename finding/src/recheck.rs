//! What a later look at a domain means for the DID that was pinned. Functions of their arguments alone.

use dccp::did::DidDocument;
use dccp::{Did, UnixMillis};

use crate::{DiscoverError, Discovered};

/// What became of the link between a domain and a pinned DID. Only [`Recheck::Succession`] may change a pin without an
/// administrator, and nothing here ever removes one or permits plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// The domain names the DID still.
    Same,
    /// The domain says, reliably, that it has no identity any more. The pin stays; an administrator is told.
    Vanished,
    /// Nobody answered: as if nobody had asked.
    Unanswered,
    /// The owners of both DIDs say that the domain goes over to another one.
    Succession {
        /// The new DID.
        to: Did,
    },
    /// The domain names another DID, and the owner of the pinned one does not say so: mail is held until an
    /// administrator decides.
    Conflict {
        /// The other DID.
        other: Did,
    },
    /// What the domain says is not acceptable. The pin stays; an administrator is told.
    Refused {
        /// Why, for the administrator.
        why: String,
    },
}

/// Compares a pinned organisation, as its newest log that we know describes it, with what was found now.
pub fn recheck(pinned: &DidDocument, found: &Result<Discovered, DiscoverError>, now: UnixMillis) -> Recheck {
    match found {
        Ok(found) if found.did == *pinned.did() => Recheck::Same,
        Ok(found) => changed(pinned, found, now),
        Err(DiscoverError::NotFound) => Recheck::Vanished,
        Err(DiscoverError::Forged { dns, https }) => {
            let other = if https == pinned.did() { dns } else { https };
            Recheck::Conflict { other: other.clone() }
        }
        Err(DiscoverError::NoBackLink { did }) if did != pinned.did() => {
            Recheck::Conflict { other: did.clone() }
        }
        Err(error) if error.is_temporary() => Recheck::Unanswered,
        Err(error) => Recheck::Refused { why: error.to_string() },
    }
}

/// The notice is verified once more, against the log we have pinned: the one that is served may lack the rotation that
/// took a stolen key its power.
fn changed(pinned: &DidDocument, found: &Discovered, now: UnixMillis) -> Recheck {
    let notice = found.succession.as_ref().map(|succession| &succession.notice);
    let verified = notice.and_then(|notice| notice.verify(pinned, &found.partner.document, now).ok());
    match verified {
        Some(says) if says.domain == found.domain.as_str() => Recheck::Succession { to: found.did.clone() },
        _ => Recheck::Conflict { other: found.did.clone() },
    }
}
