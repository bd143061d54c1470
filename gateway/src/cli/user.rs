//! `user …`: people who may submit mail with a password, or with a token for each program that cannot keep one. Passwords are
//! asked for, never given on the command line; tokens are told once.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use keystore::prompt::{self, Asked};
use smtp::address::Address;
use zeroize::Zeroizing;

use super::Failure;
use super::trace::utc;
use crate::clock;
use crate::config::Config;
use crate::users::{Entry, PASSWORD_CHARACTERS_MIN, User, UserFile, UserFileError};

const DAY_MS: u64 = 24 * 3600 * 1000;

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
    /// Tokens for single programs: what they show instead of the password (OAUTHBEARER, XOAUTH2).
    #[command(subcommand)]
    Token(TokenCommand),
    /// Ask for the password and say whether it is the right one.
    Test {
        /// The name.
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it; nobody can be shown it again.
    Add {
        /// The user.
        user: String,
        /// What it is for: laptop, scanner.
        name: String,
        /// Days until it ends.
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
    /// Show the names of a user's tokens, and when each ends.
    List {
        /// The user.
        user: String,
    },
    /// Take a token away: it counts no longer, at once.
    Revoke {
        /// The user.
        user: String,
        /// The token's name.
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
        UserCommand::Token(command) => token(command, &file),
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

fn token(command: TokenCommand, file: &Path) -> Result<String, Failure> {
    match command {
        TokenCommand::Add { user, name, days } => {
            let until = clock::system().saturating_add_ms(days * DAY_MS);
            let issued = UserFile::change(file, |users| users.entry_mut(&user)?.issue(&name, until));
            Ok(format!("{}\n", issued.map_err(Failure::said)?.as_str()))
        }
        TokenCommand::List { user } => {
            let entry = known(file, &user)?;
            let lines: String = entry
                .tokens()
                .map(|(name, until)| format!("{name}  until {}\n", utc(until.as_u64())))
                .collect();
            Ok(if lines.is_empty() { format!("{user} has no tokens.\n") } else { lines })
        }
        TokenCommand::Revoke { user, name } => {
            UserFile::change(file, |users| users.entry_mut(&user)?.revoke(&name)).map_err(Failure::said)?;
            Ok(format!("The token {name} of {user} counts no longer.\n"))
        }
    }
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
