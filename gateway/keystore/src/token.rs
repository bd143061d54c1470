//! The master key wrapped by a PKCS#11 token: AES-256-GCM with a key that never leaves the token.
//!
//! ```text
//! dccp-master-token-v1: base64 of IV (12) ‖ ciphertext (32) ‖ tag (16)
//! ```
//!
//! The token is asked once at the start; the module is unloaded afterwards. Its key is private, sensitive and not
//! extractable, or it is not used: a copy of the wrapped file and of all key files is then worth nothing without
//! the token and its PIN.

use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::TAG_BYTES;
use crate::line::{self, Readers};
use crate::master::{self, MASTER_BYTES, MasterError};
use crate::prompt::{self, Asked};

const PREFIX: &str = "dccp-master-token-v1:";
const IV_BYTES: usize = 12;
const TAG_BITS: u64 = TAG_BYTES as u64 * 8;
const KEY_BYTES: u64 = 32;

/// A token and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The PKCS#11 module of the token's maker, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// The label of the AES key on it.
    pub key: String,
    /// The file (0600) that holds the user PIN; without it a person is asked.
    pub pin: Option<PathBuf>,
}

/// Why the token did not help.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The PIN is wrong; tokens lock themselves after a few wrong ones.
    #[error("the token `{token}` refuses the PIN")]
    WrongPin {
        /// Its label.
        token: String,
    },
    /// Too many wrong PINs.
    #[error("the PIN of the token `{token}` is locked; its security officer can set a new one")]
    PinLocked {
        /// Its label.
        token: String,
    },
    /// No such token is plugged in.
    #[error(
        "{module} shows no token `{token}`; is it plugged in, and may this user use it? It shows: {present}"
    )]
    NoToken {
        /// The module.
        module: PathBuf,
        /// The label that was looked for.
        token: String,
        /// The labels that are there.
        present: String,
    },
    /// Two tokens of one label.
    #[error("{module} shows several tokens `{token}`; give each its own label")]
    SeveralTokens {
        /// The module.
        module: PathBuf,
        /// The label.
        token: String,
    },
    /// The token has no such key.
    #[error("the token `{token}` has no AES key `{key}`")]
    NoKey {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// Two keys of one label.
    #[error("the token `{token}` has several keys `{key}`; which one is meant cannot be told")]
    SeveralKeys {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// A key that can be copied off the token protects nothing.
    #[error(
        "the key `{key}` can leave the token `{token}` (extractable, or not sensitive), so it is not used"
    )]
    KeyCanLeave {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// Another key of that label, or another file.
    #[error(
        "the key `{key}` of the token `{token}` does not open {path}: it is another key, or the file was altered"
    )]
    DoesNotOpen {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
        /// The wrapped master key.
        path: PathBuf,
    },
    /// The module cannot be loaded, or does not do what it is asked.
    #[error("{module}: {why}")]
    Module {
        /// The module.
        module: PathBuf,
        /// What it, or the loader, says.
        why: String,
    },
}

/// The line of a wrapped master key. Makes the token's key if it has none of that label.
pub(crate) fn wrap(
    token: &Token,
    secret: &[u8; MASTER_BYTES],
    rng: &mut impl CryptoRng,
) -> Result<Zeroizing<String>, MasterError> {
    let mut iv = [0; IV_BYTES];
    rng.fill_bytes(&mut iv);
    let sealed = with_session(token, true, |session| {
        let key = match find(token, session)? {
            Some(key) => key,
            None => generate(token, session)?,
        };
        let context = context(token);
        let mechanism = mechanism(token, &mut iv, &context)?;
        session.encrypt(&mechanism, key, secret).map_err(|error| module_says(token, &error))
    })?;
    Ok(line::encode(PREFIX, &[iv.as_slice(), &sealed].concat()))
}

/// The master key of a line that [`wrap`] made; `path` is where it was read.
pub(crate) fn unwrap(
    token: &Token,
    text: &str,
    path: &Path,
) -> Result<Zeroizing<[u8; MASTER_BYTES]>, MasterError> {
    let not_wrapped = || MasterError::NotAMasterKey { path: path.to_owned(), expected: PREFIX };
    let bytes = line::decode(text, PREFIX).ok_or_else(not_wrapped)?;
    let (iv, sealed) = bytes.split_at_checked(IV_BYTES).ok_or_else(not_wrapped)?;
    let mut iv: [u8; IV_BYTES] = iv.try_into().map_err(|_| not_wrapped())?;
    let clear = with_session(token, false, |session| {
        let key = find(token, session)?
            .ok_or_else(|| TokenError::NoKey { token: token.label.clone(), key: token.key.clone() })?;
        let context = context(token);
        let mechanism = mechanism(token, &mut iv, &context)?;
        let opened = session.decrypt(&mechanism, key, sealed).map_err(|error| match error {
            // Makers differ in what they call a wrong tag.
            Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::GeneralError
                | RvError::FunctionFailed
                | RvError::DataInvalid,
                _,
            ) => TokenError::DoesNotOpen {
                token: token.label.clone(),
                key: token.key.clone(),
                path: path.to_owned(),
            },
            error => module_says(token, &error),
        });
        opened.map(Zeroizing::new)
    })?;
    master::exact(&clear).ok_or_else(not_wrapped)
}

/// Loads the module, logs in, does the work, and unloads the module whatever came of it.
fn with_session<T>(
    token: &Token,
    writing: bool,
    work: impl FnOnce(&Session) -> Result<T, TokenError>,
) -> Result<T, MasterError> {
    let says = |error: Error| module_says(token, &error);
    let module = Pkcs11::new(&token.module).map_err(says)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(says)?;
    let done = slot(token, &module).map_err(MasterError::from).and_then(|slot| {
        let session = match writing {
            true => module.open_rw_session(slot),
            false => module.open_ro_session(slot),
        };
        let session = session.map_err(says)?;
        log_in(token, &session)?;
        Ok(work(&session)?)
    });
    // What it says at its end changes nothing: the work is done or not.
    let _ = module.finalize();
    done
}

fn slot(token: &Token, module: &Pkcs11) -> Result<Slot, TokenError> {
    let says = |error: Error| module_says(token, &error);
    let mut labels = Vec::new();
    let mut found = Vec::new();
    for slot in module.get_slots_with_token().map_err(says)? {
        let info = module.get_token_info(slot).map_err(says)?;
        if info.token_initialized() {
            labels.push(format!("`{}`", info.label()));
        }
        if info.label() == token.label {
            found.push(slot);
        }
    }
    match found.as_slice() {
        [slot] => Ok(*slot),
        [] => Err(TokenError::NoToken {
            module: token.module.clone(),
            token: token.label.clone(),
            present: if labels.is_empty() { "none".into() } else { labels.join(", ") },
        }),
        _ => Err(TokenError::SeveralTokens { module: token.module.clone(), token: token.label.clone() }),
    }
}

fn log_in(token: &Token, session: &Session) -> Result<(), MasterError> {
    let pin = match &token.pin {
        Some(path) => master::read(path, Readers::Owner)?,
        None => prompt::secret(&format!("PIN of the token {}", token.label), Asked::Known, 0)?,
    };
    let pin = AuthPin::new(pin.as_str().into());
    session.login(UserType::User, Some(&pin)).map_err(|error| {
        let token_label = token.label.clone();
        let error = match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
                TokenError::WrongPin { token: token_label }
            }
            Error::Pkcs11(RvError::PinLocked, _) => TokenError::PinLocked { token: token_label },
            error => module_says(token, &error),
        };
        error.into()
    })
}

/// The key of our label, if it is one that cannot leave.
fn find(token: &Token, session: &Session) -> Result<Option<ObjectHandle>, TokenError> {
    let says = |error: Error| module_says(token, &error);
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(token.key.as_bytes().to_vec()),
    ];
    let key = match session.find_objects(&template).map_err(says)?.as_slice() {
        [] => return Ok(None),
        [key] => *key,
        _ => {
            return Err(TokenError::SeveralKeys { token: token.label.clone(), key: token.key.clone() });
        }
    };
    let attributes =
        session.get_attributes(key, &[AttributeType::Extractable, AttributeType::Sensitive]).map_err(says)?;
    let stays = attributes.contains(&Attribute::Extractable(false))
        && attributes.contains(&Attribute::Sensitive(true));
    match stays {
        true => Ok(Some(key)),
        false => Err(TokenError::KeyCanLeave { token: token.label.clone(), key: token.key.clone() }),
    }
}

fn generate(token: &Token, session: &Session) -> Result<ObjectHandle, TokenError> {
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Label(token.key.as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).map_err(|error| module_says(token, &error))
}

fn mechanism<'a>(
    token: &Token,
    iv: &'a mut [u8; IV_BYTES],
    context: &'a [u8],
) -> Result<Mechanism<'a>, TokenError> {
    GcmParams::new(iv.as_mut_slice(), context, TAG_BITS.into())
        .map(Mechanism::AesGcm)
        .map_err(|error| module_says(token, &error))
}

/// Authenticated with the master key: that a token's key is asked for something else cannot pass for it.
fn context(token: &Token) -> Vec<u8> {
    [PREFIX.as_bytes(), token.key.as_bytes()].concat()
}

fn module_says(token: &Token, error: &Error) -> TokenError {
    TokenError::Module { module: token.module.clone(), why: error.to_string() }
}
