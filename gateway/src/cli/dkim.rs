//! `dkim …`: the keys with which our mail is signed for the open Internet.

use std::fmt::Write;
use std::path::Path;

use clap::Subcommand;
use dccp::UnixMillis;
use smtp::authenticity::KeyPair;

use super::Failure;
use super::trace::utc;
use crate::config::Config;
use crate::custody::Custody;
use crate::dkim::{KeyFolder, Pairs};

/// How long a mail may be on its way, or lie unread, before somebody checks its signature.
const RECORDS_STAY_DAYS: u64 = 7;

const DAY_MS: u64 = 86_400_000;

#[derive(Subcommand)]
pub(super) enum DkimCommand {
    /// Make the first key pair of a domain and print what to publish. It signs as soon as DNS shows it.
    Create {
        /// A mail domain of the organisation, or a domain below one.
        domain: String,
    },
    /// Show the key pairs of all domains: which one signs, which waits to be published, which is over.
    List,
    /// Print the TXT records to publish for a domain, as a zone file has them.
    Dns {
        /// The domain.
        domain: String,
    },
    /// Make a new key pair. The old one signs until DNS shows the new one, then it is retired.
    Rotate {
        /// The domain.
        domain: String,
    },
}

pub(super) fn dkim(command: &DkimCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let custody = Custody::open(&config, now).map_err(Failure::said)?;
    let keys = KeyFolder::beside(&config.keys.storage, custody.vault().clone());
    match command {
        DkimCommand::Create { domain } => create(&keys, &ours(&config, domain)?, now),
        DkimCommand::List => list(&keys),
        DkimCommand::Dns { domain } => dns(&keys, &domain.to_ascii_lowercase()),
        DkimCommand::Rotate { domain } => rotate(&keys, &domain.to_ascii_lowercase(), now),
    }
}

fn create(keys: &KeyFolder, domain: &str, now: UnixMillis) -> Result<String, Failure> {
    let pairs = keys.pairs(domain).map_err(Failure::said)?;
    if pairs.signing.is_some() || !pairs.waiting.is_empty() {
        let told = format!("{domain} has a key pair already: `dkim rotate {domain}` makes a new one");
        return Err(Failure::Said(told));
    }
    made(keys, domain, now)
}

fn rotate(keys: &KeyFolder, domain: &str, now: UnixMillis) -> Result<String, Failure> {
    let pairs = keys.pairs(domain).map_err(Failure::said)?;
    if let Some(waiting) = pairs.waiting.last() {
        let selector = waiting.selector();
        let told = format!("{selector} of {domain} still waits to be published (`dkim dns {domain}`)");
        return Err(Failure::Said(told));
    }
    if pairs.signing.is_none() {
        return Err(without(domain));
    }
    made(keys, domain, now)
}

fn made(keys: &KeyFolder, domain: &str, now: UnixMillis) -> Result<String, Failure> {
    let day: String = utc(now.as_u64()).chars().take(10).filter(char::is_ascii_digit).collect();
    let pair = keys.add(domain, &day).map_err(Failure::said)?;
    Ok(format!(
        "; {} was made. Publish these records; the running gateway signs with it once DNS shows both.\n{}",
        pair.selector(),
        records(&pair)?
    ))
}

fn dns(keys: &KeyFolder, domain: &str) -> Result<String, Failure> {
    let Pairs { signing, waiting, .. } = keys.pairs(domain).map_err(Failure::said)?;
    let pairs: Vec<KeyPair> = signing.into_iter().chain(waiting).collect();
    if pairs.is_empty() {
        return Err(without(domain));
    }
    pairs.iter().map(records).collect()
}

fn list(keys: &KeyFolder) -> Result<String, Failure> {
    let mut page = String::new();
    for domain in keys.domains().map_err(Failure::said)? {
        let Pairs { signing, waiting, retired } = keys.pairs(&domain).map_err(Failure::said)?;
        let _ = writeln!(page, "{domain}");
        for old in retired {
            let over = old.at.as_u64() + RECORDS_STAY_DAYS * DAY_MS;
            let day = utc(over).chars().take(10).collect::<String>();
            let _ = writeln!(page, "  {}  retired; its records may leave DNS after {day}", old.selector);
        }
        if let Some(pair) = signing {
            let _ = writeln!(page, "  {}  signs", pair.selector());
        }
        for pair in waiting {
            let _ = writeln!(page, "  {}  waits until DNS shows it (`dkim dns {domain}`)", pair.selector());
        }
    }
    if page.is_empty() {
        page.push_str("No domain has a key pair: `dkim create DOMAIN` makes one.\n");
    }
    Ok(page)
}

/// Lines of a zone file; a long key is several strings of one record (RFC 1035 §3.3.14).
fn records(pair: &KeyPair) -> Result<String, Failure> {
    let mut lines = String::new();
    for record in pair.published().map_err(Failure::said)? {
        let strings: Vec<String> = record.strings().map(|string| format!("\"{string}\"")).collect();
        let _ = writeln!(lines, "{} IN TXT ( {} )", record.name, strings.join("\n    "));
    }
    Ok(lines)
}

/// A signature counts for DMARC only where its domain is that of the author.
fn ours(config: &Config, domain: &str) -> Result<String, Failure> {
    let domain = domain.to_ascii_lowercase();
    let is_below = |own: &String| domain == *own || domain.ends_with(&format!(".{own}"));
    if config.domains().iter().any(is_below) {
        return Ok(domain);
    }
    let told = format!("{domain} is no mail domain of this organisation ({})", config.domains().join(", "));
    Err(Failure::Said(told))
}

fn without(domain: &str) -> Failure {
    Failure::Said(format!("{domain} has no key pair: `dkim create {domain}` makes one"))
}
