//! A certificate in files, which somebody else renews.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::shown::Shown;
use crate::config::Tls;
use crate::config::tls::{TlsError, certified_key};

/// One certificate and its files.
pub(super) struct Files {
    files: Tls,
    shown: Arc<Shown>,
    state: Mutex<State>,
}

struct State {
    /// The fingerprint of what the files held at the last look; `None` if they could not be read.
    seen: Option<u64>,
    /// What was wrong with it; `None` while it is what is in use.
    fault: Option<String>,
}

/// What a look at the files came to.
#[derive(Debug)]
pub(super) enum Look {
    /// They are as they were.
    Same,
    /// The new certificate is in use.
    Renewed,
    /// They changed, and what they hold is not good; the old certificate stays.
    Refused(TlsError),
}

impl Files {
    /// # Errors
    /// See [`TlsError`].
    pub(super) fn load(files: &Tls) -> Result<Self, TlsError> {
        let seen = fingerprint(files); // first, so that a change meanwhile is seen at the next look
        let shown = Shown::new(certified_key(files)?);
        Ok(Self { files: files.clone(), shown, state: Mutex::new(State { seen, fault: None }) })
    }

    /// Whether it comes from these files.
    pub(super) fn is_of(&self, files: &Tls) -> bool {
        self.files == *files
    }

    /// The file of the certificate, which is its name among the others.
    pub(super) fn path(&self) -> &Path {
        &self.files.certificate
    }

    pub(super) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Reads the files if they changed since the last look.
    pub(super) fn look(&self) -> Look {
        let found = fingerprint(&self.files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if found == state.seen {
            return Look::Same;
        }
        state.seen = found;
        match certified_key(&self.files) {
            Ok(key) => {
                self.shown.exchange(key);
                state.fault = None;
                Look::Renewed
            }
            Err(error) => {
                state.fault = Some(error.to_string());
                Look::Refused(error)
            }
        }
    }

    /// Why what the files hold is not what is in use; `None` if it is.
    pub(super) fn fault(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }
}

/// Of what the files hold; not secret, not against attackers: whoever writes the files has won already.
fn fingerprint(files: &Tls) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for file in [&files.certificate, &files.key] {
        fs::read(file).ok()?.hash(&mut hasher);
    }
    Some(hasher.finish())
}
