//! `keys.master`: where the key comes from under which the key files are sealed.

use std::path::PathBuf;

use keystore::{MasterSource, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::text;

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Master {
    /// Who gives the master key when the gateway starts.
    pub from: MasterFrom,
    /// For `file`: holds the master key. For `prompt` and `pkcs11`: holds it wrapped. Keep it out of `data_dir`, and its
    /// backup apart from the backup of the keys.
    #[serde(default = "Master::file_default")]
    #[schemars(with = "text::SecretFile")]
    pub file: PathBuf,
    /// For `systemd`: the name of the credential.
    #[serde(default = "Master::name_default")]
    pub credential: String,
    /// For `pkcs11`: the token.
    #[serde(default)]
    pub pkcs11: Option<Pkcs11>,
}

/// Who gives the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MasterFrom {
    /// A file that only the gateway's user may read.
    File,
    /// systemd, by LoadCredential= or LoadCredentialEncrypted= (which can bind it to the machine's TPM).
    Systemd,
    /// A person, who types a passphrase (or a program, on standard input).
    Prompt,
    /// A hardware token, by a key that never leaves it.
    Pkcs11,
}

/// A PKCS#11 token and its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// The shared library of the token's maker.
    #[schemars(with = "text::File")]
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the AES key on it.
    #[serde(default = "Master::name_default")]
    pub key: String,
    /// A file with the user PIN. Without it a person is asked for the PIN at each start.
    #[serde(default)]
    #[schemars(with = "Option<text::SecretFile>")]
    pub pin: Option<PathBuf>,
}

impl Master {
    /// From a file, the others at their defaults.
    pub fn of(from: MasterFrom) -> Master {
        Master { from, file: Master::file_default(), credential: Master::name_default(), pkcs11: None }
    }

    /// Every key with a value.
    pub(super) fn example() -> Master {
        let pkcs11 = Pkcs11 {
            module: "/usr/lib/softhsm/libsofthsm2.so".into(),
            token: "dccp".into(),
            key: Master::name_default(),
            pin: Some("pin".into()),
        };
        Master { pkcs11: Some(pkcs11), ..Master::of(MasterFrom::File) }
    }

    /// What [`keystore`] asks for its master key; `None` for `pkcs11` without its section, which no checked
    /// configuration has.
    pub fn source(&self) -> Option<MasterSource> {
        let wrapped = self.file.clone();
        Some(match self.from {
            MasterFrom::File => MasterSource::File(wrapped),
            MasterFrom::Systemd => MasterSource::Systemd { credential: self.credential.clone() },
            MasterFrom::Prompt => MasterSource::Prompt { wrapped },
            MasterFrom::Pkcs11 => {
                let Pkcs11 { module, token, key, pin } = self.pkcs11.clone()?;
                MasterSource::Pkcs11 { token: Token { module, label: token, key, pin }, wrapped }
            }
        })
    }

    fn file_default() -> PathBuf {
        "master.key".into()
    }

    fn name_default() -> String {
        "dccp-master".into()
    }
}
