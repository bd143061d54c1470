//! `user …`: people who may submit mail with a password. Passwords are asked for, never given on the command line.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use keystore::prompt::{self, Asked};
use smtp::address::Address;
use zeroize::Zeroizing;

use super::Failure;
use crate::config::Config;
use crate::users::{Entry, PASSWORD_CHARACTERS_MIN, User, UserFile, UserFileError};

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Add somebody who may send as these addresses. Asks for the password, or reads it from standard input.
    Add {
        /// The name to log in with; often the address.
        name: String,
        /// An address of ours that the user may send as; the name itself if none is given.
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Show all users and their addresses.
    List,
    /// Give a user another password.
    Passwd {
        /// The name.
        name: String,
    },
    /// Remove a user: the password counts no longer, at once.
    Remove {
        /// The name.
        name: String,
    },
    /// Ask for the password and say whether it is the right one.
    Test {
        /// The name.
        name: String,
    },
}

pub(super) fn user(command: UserCommand, path: &Path) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let file = file_of(&config)?;
    match command {
        UserCommand::Add { name, addresses } => add(&config, &file, &name, addresses),
        UserCommand::List => list(&file),
        UserCommand::Passwd { name } => {
            // Before the question: nobody types a password in vain.
            known(&file, &name)?;
            let password = password(&name, Asked::New)?;
            UserFile::change(&file, |users| users.set_password(&name, &password)).map_err(Failure::said)?;
            Ok(format!("{name} has another password from now on.\n"))
        }
        UserCommand::Remove { name } => {
            UserFile::change(&file, |users| users.remove(&name)).map_err(Failure::said)?;
            Ok(format!("{name} can log in no longer.\n"))
        }
        UserCommand::Test { name } => {
            let entry = known(&file, &name)?;
            match entry.has_password(&password(&name, Asked::Known)?) {
                true => Ok(format!("That is the password of {name}.\n")),
                false => Err(Failure::Said(format!("that is not the password of {name}"))),
            }
        }
    }
}

fn add(config: &Config, file: &Path, name: &str, addresses: Vec<String>) -> Result<String, Failure> {
    let addresses = if addresses.is_empty() { vec![name.to_owned()] } else { addresses };
    for address in &addresses {
        is_ours(config, address)?;
    }
    let user = User::new(name, addresses).map_err(Failure::said)?;
    if known(file, name).is_ok() {
        return Err(Failure::said(UserFileError::Taken(name.to_owned())));
    }
    let entry = Entry::new(user, &password(name, Asked::New)?);
    let line = line_of(entry.user());
    UserFile::change(file, |users| users.add(entry)).map_err(Failure::said)?;
    Ok(line)
}

/// Nobody else's addresses: the rules would refuse each mail from them.
fn is_ours(config: &Config, text: &str) -> Result<(), Failure> {
    let said = |why: String| Err(Failure::Said(format!("{text} {why}")));
    match text.parse::<Address>() {
        Err(_) => said("is not a mail address; give one with --address".to_owned()),
        Ok(address) if config.domains().contains(&address.domain().to_lowercase()) => Ok(()),
        Ok(_) => said(format!("is not in a domain of ours ({})", config.domains().join(", "))),
    }
}

fn list(file: &Path) -> Result<String, Failure> {
    let users = UserFile::load(file).map_err(Failure::said)?;
    let mut page = String::new();
    users.users().for_each(|user| page.push_str(&line_of(user)));
    match page.is_empty() {
        true => Ok("No users yet. Add one with: dccp-gateway user add NAME --address ADDRESS\n".into()),
        false => Ok(page),
    }
}

fn line_of(user: &User) -> String {
    let mut line = user.name().to_owned();
    let _ = writeln!(line, "  {}", user.addresses().join(", "));
    line
}

fn known(file: &Path, name: &str) -> Result<Entry, Failure> {
    UserFile::load(file).and_then(|users| users.entry(name).cloned()).map_err(Failure::said)
}

fn password(name: &str, asked: Asked) -> Result<Zeroizing<String>, Failure> {
    prompt::secret(&format!("Password of {name}"), asked, PASSWORD_CHARACTERS_MIN)
        .map_err(|error| Failure::Said(format!("the password: {error}")))
}

fn file_of(config: &Config) -> Result<PathBuf, Failure> {
    let advice = "the configuration names no user file: set `file: users.yaml` below `users:`";
    config.users.file.clone().ok_or_else(|| Failure::Said(advice.to_owned()))
}
