//! `--master`: where the master key of a new gateway comes from, in words, as configuration, and as a key.

use std::path::PathBuf;
use std::str::FromStr;

use keystore::{MasterError, MasterKey, MasterSource};

use super::Failure;
use crate::config::{Config, Master, MasterFrom, Pkcs11};

/// `file:PATH`, `systemd:NAME`, `prompt`, a PKCS#11 URI, or `none`.
#[derive(Clone)]
pub(super) struct MasterChoice(Option<Master>);

impl FromStr for MasterChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<MasterChoice, String> {
        let (word, rest) = text.split_once(':').unwrap_or((text, ""));
        let master = match (word, rest) {
            ("none", "") => return Ok(MasterChoice(None)),
            ("file", path) if !path.is_empty() => {
                Master { file: path.into(), ..Master::of(MasterFrom::File) }
            }
            ("systemd", name) if is_credential_name(name) => {
                Master { credential: name.to_owned(), ..Master::of(MasterFrom::Systemd) }
            }
            ("prompt", "") => Master::of(MasterFrom::Prompt),
            ("pkcs11", uri) => Master { pkcs11: Some(pkcs11(uri)?), ..Master::of(MasterFrom::Pkcs11) },
            _ => {
                return Err("write file:PATH, systemd:NAME, prompt, \
                            pkcs11:token=LABEL?module-path=LIBRARY&pin-source=FILE, or none"
                    .into());
            }
        };
        Ok(MasterChoice(Some(master)))
    }
}

impl MasterChoice {
    /// What stands in the configuration.
    pub(super) fn to_config(&self) -> Option<Master> {
        self.0.clone()
    }
}

/// systemd takes a credential's name as a file name (systemd.exec(5)).
fn is_credential_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// RFC 7512: `token` and `object` name the key, `module-path` and `pin-source` how it is reached.
fn pkcs11(uri: &str) -> Result<Pkcs11, String> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut token = None;
    let mut key = None;
    let mut module = None;
    let mut pin = None;
    let attributes = path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty());
    for attribute in attributes {
        let (name, value) = attribute.split_once('=').ok_or_else(|| format!("`{attribute}` has no value"))?;
        let value = percent_decoded(value).ok_or_else(|| format!("`{attribute}` is not percent-encoded"))?;
        let place = match name {
            "token" => &mut token,
            "object" => &mut key,
            "module-path" => &mut module,
            "pin-source" => &mut pin,
            // RFC 7512 §2.3 lets us ignore what we do not know; here it would be a token that nobody asked for.
            other => return Err(format!("`{other}` is not token, object, module-path or pin-source")),
        };
        if place.replace(value).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    let missing = |name: &str| format!("`{name}` is missing in the PKCS#11 URI");
    Ok(Pkcs11 {
        module: module.map(PathBuf::from).ok_or_else(|| missing("module-path"))?,
        token: token.ok_or_else(|| missing("token"))?,
        key: key.unwrap_or_else(|| Master::of(MasterFrom::Pkcs11).credential),
        pin: pin.map(|source| source.strip_prefix("file:").unwrap_or(&source).into()),
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The file that `init` will write for the master key, if it writes one.
pub(super) fn file_to_write(config: &Config) -> Option<PathBuf> {
    match config.keys.master.as_ref()?.source()? {
        MasterSource::File(path) => Some(path),
        MasterSource::Prompt { wrapped } | MasterSource::Pkcs11 { wrapped, .. } => Some(wrapped),
        MasterSource::Systemd { credential } => Some(credential_file(config, &credential)),
    }
}

/// Makes the master key of a new gateway, if it has one.
///
/// A credential that systemd does not hand over yet is made as a file: for `systemd-creds encrypt`, or for
/// `LoadCredential=` as it is.
pub(super) fn create(config: &Config) -> Result<Option<MasterKey>, Failure> {
    let Some(source) = config.keys.master.as_ref().and_then(Master::source) else { return Ok(None) };
    let mut rng = rand::rng();
    let made = match (MasterKey::create(&source, &mut rng), &source) {
        (Err(MasterError::NoCredential { name }), MasterSource::Systemd { .. }) => {
            MasterKey::create(&MasterSource::File(credential_file(config, &name)), &mut rng)
        }
        (made, _) => made,
    };
    made.map(Some).map_err(Failure::said)
}

/// Beside the configuration: not where the keys lie, not where the data lies.
fn credential_file(config: &Config, name: &str) -> PathBuf {
    let beside = config.keys.master.as_ref().map(|master| master.file.as_path());
    beside.map_or_else(PathBuf::new, |file| file.with_file_name(format!("{name}.credential")))
}

/// What an administrator has to know about the master key of a new gateway: a line for the list of files, and a step.
pub(super) fn advice(config: &Config) -> (String, String) {
    let path = file_to_write(config).map(|path| path.display().to_string()).unwrap_or_default();
    match config.keys.master.as_ref() {
        None => (
            String::new(),
            "The keys lie in the clear, because `--master none` was said. Good for a laboratory only.".into(),
        ),
        Some(Master { from: MasterFrom::File, .. }) => (
            format!("  {path}\n      the master key that opens the private keys\n"),
            format!(
                "Back {path} up apart from the private keys: only both together are worth anything.\n     \
                 Better, let systemd keep it: `systemd-creds encrypt --name=dccp-master {path} …`, \
                 LoadCredentialEncrypted=, keys.master.from: systemd."
            ),
        ),
        Some(Master { from: MasterFrom::Systemd, credential, .. }) => (
            format!(
                "  {path}\n      the master key that opens the private keys, unless systemd gave it already\n"
            ),
            format!(
                "Give the master key to systemd, then take the file away:\n     \
                 systemd-creds encrypt --name={credential} {path} /etc/credstore.encrypted/{credential}\n     \
                 and LoadCredentialEncrypted={credential} in the unit."
            ),
        ),
        Some(Master { from: MasterFrom::Prompt, .. }) => (
            format!("  {path}\n      the master key, wrapped by your passphrase\n"),
            "The gateway asks for the passphrase at each start. Without it the private keys are lost.".into(),
        ),
        Some(Master { from: MasterFrom::Pkcs11, .. }) => (
            format!("  {path}\n      the master key, wrapped by the token\n"),
            "Without the token the private keys are lost: have a second token with the same key.".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(text: &str) -> Master {
        text.parse::<MasterChoice>().unwrap().to_config().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<MasterChoice>().err().unwrap()
    }

    #[test]
    fn each_source_is_named_in_a_word() {
        assert!("none".parse::<MasterChoice>().unwrap().to_config().is_none());
        assert_eq!(master("file:/etc/dccp/m.key").file, PathBuf::from("/etc/dccp/m.key"));
        assert_eq!(master("systemd:dccp").credential, "dccp");
        assert_eq!(master("prompt").from, MasterFrom::Prompt);
        for wrong in ["", "file", "file:", "systemd:", "systemd:a/b", "prompt:now", "none:at-all", "token"] {
            assert!(refusal(wrong).contains("file:PATH"), "{wrong}");
        }
    }

    #[test]
    fn a_pkcs11_uri_names_token_key_module_and_pin() {
        let read = master(
            "pkcs11:token=The%20token;object=our-key?module-path=/lib/p11.so&pin-source=file:/run/pin",
        );
        let expected = Pkcs11 {
            module: "/lib/p11.so".into(),
            token: "The token".into(),
            key: "our-key".into(),
            pin: Some("/run/pin".into()),
        };
        assert_eq!(read.pkcs11, Some(expected));
        let least = master("pkcs11:token=t?module-path=/lib/p11.so").pkcs11.unwrap();
        assert_eq!((least.key.as_str(), least.pin), ("dccp-master", None));
    }

    #[test]
    fn a_pkcs11_uri_that_names_no_single_key_is_refused() {
        for (wrong, because) in [
            ("pkcs11:object=k?module-path=/lib/p11.so", "`token` is missing"),
            ("pkcs11:token=t", "`module-path` is missing"),
            ("pkcs11:token=t;token=u?module-path=/lib/p11.so", "`token` is given twice"),
            ("pkcs11:token=t?module-path=/lib/p11.so&pin-value=1234", "`pin-value` is not"),
            ("pkcs11:token=%2?module-path=/lib/p11.so", "is not percent-encoded"),
        ] {
            assert!(refusal(wrong).contains(because), "{wrong}: {}", refusal(wrong));
        }
    }
}
