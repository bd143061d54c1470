//! `partner …`: exchange partner files and decide whom to trust.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use dccp::limits::PARTNER_TEXT_BYTES_MAX;
use dccp::partner::{PartnerFile, fingerprint};
use dccp::{Did, UnixMillis};

use super::partner_add::{AddArgs, add};
use super::{Failure, block_on, read_bounded};
use crate::config::Config;
use crate::custody::{Custody, Identity, identity_paths};
use crate::partners::{self, Clash, Imported, Ourselves, Partner, Partners};
use crate::people;
use crate::spool::{Spool, SpoolConfig};
use crate::suites;

#[derive(Subcommand)]
pub(super) enum PartnerCommand {
    /// Print our partner file: send it to the partner by any channel.
    Export,
    /// Find the organisation behind a domain by DNS and HTTPS, show what was found, and pin it if you agree.
    Add(AddArgs),
    /// Import a partner's file and pin its identity.
    Import {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Show all partners with their fingerprints.
    List,
    /// Accept another identity for a partner whose file conflicts with the pinned one.
    Accept {
        /// The domain in conflict.
        domain: String,
        /// The new identity's fingerprint, as compared with the partner by voice.
        #[arg(long)]
        fingerprint: String,
    },
    /// Keep the pinned identity and drop the one that conflicts with it.
    Reject {
        /// The domain in conflict.
        domain: String,
    },
    /// Set the weakest suite for a partner, in both directions; without a suite, that of the configuration counts again.
    Minimum {
        /// Any of its domains.
        domain: String,
        /// hybrid-aes, hybrid-chacha, ml-kem-ml-dsa or experimental-falcon.
        suite: Option<String>,
    },
    /// Clear the alarms about a partner's tree of bindings, or about ours, after somebody has looked into them.
    ClearAlarms {
        /// Any of its domains, or of ours.
        domain: String,
    },
    /// Forget a partner: mail to it is refused from then on.
    Remove {
        /// Any of its domains.
        domain: String,
    },
}

pub(super) fn partner(command: PartnerCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    match command {
        PartnerCommand::Export => export(&config, now),
        PartnerCommand::Add(args) => add(&config, &args, now),
        PartnerCommand::Import { file } => import(&config, &read_text(&file)?, now),
        PartnerCommand::List => list(&config, now),
        PartnerCommand::Accept { domain, fingerprint } => accept(&config, &domain, &fingerprint, now),
        PartnerCommand::Reject { domain } => reject(&config, &domain),
        PartnerCommand::Minimum { domain, suite } => minimum(&config, &domain, suite.as_deref(), now),
        PartnerCommand::ClearAlarms { domain } => clear_alarms(&config, &domain, now),
        PartnerCommand::Remove { domain } => remove(&config, &domain),
    }
}

fn export(config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let custody = Custody::open(config, now).map_err(Failure::said)?;
    with_spool(config, async |spool| custody.rotate(now, &spool).await.map_err(Failure::said))?;
    let node = custody.node_record(config.announced_addresses(), now).map_err(Failure::said)?;
    let file = PartnerFile {
        log: custody.log().clone(),
        manifest: custody.manifest().clone(),
        nodes: vec![node],
        prekeys: custody.current_prekey_records(),
    };
    Ok(file.to_text())
}

fn import(config: &Config, text: &str, now: UnixMillis) -> Result<String, Failure> {
    let identity = Identity::load(&identity_paths(config), now).map_err(Failure::said)?;
    let ourselves = Ourselves { did: identity.document.did().clone(), domains: config.domains() };
    let imported = with_spool(config, async |spool| {
        partners::import(&spool, text, &ourselves, now).await.map_err(Failure::said)
    })?;
    imported_page(imported)
}

/// What an import did, and what to do now.
pub(super) fn imported_page(imported: Imported) -> Result<String, Failure> {
    match imported {
        Imported::Added { did, domains } => Ok(format!(
            "Pinned {} as a partner.\n\n{}\nCompare the fingerprint with the partner by voice; if it differs: dccp-gateway partner remove {}\n",
            domains.join(", "),
            identity_lines(did.as_str()),
            domains.first().map_or("", String::as_str),
        )),
        Imported::Refreshed { did, domains } => Ok(format!(
            "Refreshed {}: the same identity, with the records that came now.\n\n{}",
            domains.join(", "),
            identity_lines(did.as_str())
        )),
        Imported::Ended { did, domains } => Ok(format!(
            "ENDED: {} has given up its identity for ever. Mail to and from it is held from now on.\n\n{}",
            domains.join(", "),
            identity_lines(did.as_str())
        )),
        Imported::Contradiction { did, at_seq } => Err(Failure::Conflict(contradiction_page(&did, at_seq))),
        Imported::Conflict { candidate, clashes } => {
            Err(Failure::Conflict(conflict_page(&candidate, &clashes)))
        }
    }
}

/// What an administrator reads when a partner's operator key has signed two histories.
fn contradiction_page(did: &Did, at_seq: u64) -> String {
    format!(
        "CONTRADICTION: this file tells another history of a known identity, from operation {at_seq} on.

{}
Whoever holds the operator key of this partner has signed two histories; one of them may be a thief's. Mail to and
from the partner is held from now on. Call a person you know there: its officers settle it with their recovery key
(`dccp-gateway recovery use` at their side), and the partner thaws here by itself as soon as that is known.
",
        identity_lines(did.as_str())
    )
}

/// What an administrator reads when somebody else claims a pinned domain: what happened, what it may mean, what to do.
fn conflict_page(candidate: &Did, clashes: &[Clash]) -> String {
    let mut page = String::from("CONFLICT: this file names another identity than the one that is pinned.\n");
    for clash in clashes {
        let _ = write!(
            page,
            "\n{}\n  pinned\n{}  in the file\n{}",
            clash.domain,
            indented(&identity_lines(&clash.pinned)),
            indented(&identity_lines(candidate.as_str())),
        );
    }
    let domain = clashes.first().map_or("", |clash| clash.domain.as_str());
    let _ = write!(
        page,
        "
The pinned identity stays, but mail to this partner is held from now on, because one of the two is not your partner:
either the partner founded its organisation anew, or somebody wants its mail. Call a person you know there and
compare fingerprints. Then:

  the one in the file is right:   dccp-gateway partner accept {domain} --fingerprint '{}'
  the pinned one is right:        dccp-gateway partner reject {domain}
",
        fingerprint(candidate),
    );
    page
}

fn accept(config: &Config, domain: &str, spoken: &str, now: UnixMillis) -> Result<String, Failure> {
    let accepted = with_spool(config, async |spool| {
        partners::accept(&spool, domain, spoken, now).await.map_err(Failure::said)
    })?;
    let mut text = format!("Pinned {} anew; held mail is released.\n\n", accepted.domains.join(", "));
    text.push_str(&identity_lines(accepted.did.as_str()));
    for clash in &accepted.clashes {
        let _ = writeln!(
            text,
            "\nIt also claims {}, which stays pinned to {} until you decide.",
            clash.domain, clash.pinned
        );
    }
    Ok(text)
}

fn reject(config: &Config, domain: &str) -> Result<String, Failure> {
    let pinned =
        with_spool(config, async |spool| partners::reject(&spool, domain).await.map_err(Failure::said))?;
    Ok(format!("{domain} stays pinned; held mail is released.\n\n{}", identity_lines(&pinned)))
}

fn minimum(config: &Config, domain: &str, suite: Option<&str>, now: UnixMillis) -> Result<String, Failure> {
    let unknown = |word: &str| {
        Failure::Said(format!(
            "{word:?} is no suite; known are hybrid-aes, hybrid-chacha, ml-kem-ml-dsa and experimental-falcon"
        ))
    };
    let suite = suite.map(|word| suites::of_word(word).ok_or_else(|| unknown(word))).transpose()?;
    with_spool(config, async |spool| {
        let partners = Partners::load(&spool, now).await.map_err(Failure::said)?;
        let nobody = || Failure::Said(format!("no partner has the domain {domain}"));
        let did = partners.by_domain(domain).ok_or_else(nobody)?.did();
        partners::set_suite_minimum(&spool, did, suite).await.map_err(Failure::said)
    })?;
    Ok(match suite {
        Some(suite) => format!("{domain}: nothing weaker than {} from now on.\n", suites::words(suite)),
        None => format!("{domain}: the minimum of the configuration counts again.\n"),
    })
}

fn clear_alarms(config: &Config, domain: &str, now: UnixMillis) -> Result<String, Failure> {
    let ourselves = match config.domains().iter().any(|ours| ours == domain) {
        true => Some(Custody::open(config, now).map_err(Failure::said)?.did().clone()),
        false => None,
    };
    let cleared = with_spool(config, async |spool| {
        let partners = Partners::load(&spool, now).await.map_err(Failure::said)?;
        let nobody = || Failure::Said(format!("no partner has the domain {domain}"));
        let about = ourselves.as_ref().or_else(|| partners.by_domain(domain).map(Partner::did));
        people::clear_alarms(&spool, about.ok_or_else(nobody)?).await.map_err(Failure::said)
    })?;
    Ok(format!(
        "{domain}: {cleared} alarms cleared; the tree that was proven first stays the one that counts.\n"
    ))
}

fn remove(config: &Config, domain: &str) -> Result<String, Failure> {
    let removed =
        with_spool(config, async |spool| partners::remove(&spool, domain).await.map_err(Failure::said))?;
    match removed.is_empty() {
        true => Err(Failure::Said(format!("no partner has the domain {domain}"))),
        false => Ok(format!("Removed {}; mail to it is refused from now on.\n", removed.join(", "))),
    }
}

fn list(config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let partners =
        with_spool(config, async |spool| Partners::load(&spool, now).await.map_err(Failure::said))?;
    let pages: Vec<String> = partners.iter().map(page).collect();
    match pages.is_empty() {
        true => {
            Ok("No partners yet. Import a partner's file with: dccp-gateway partner import FILE\n".into())
        }
        false => Ok(pages.join("\n")),
    }
}

fn page(partner: &Partner) -> String {
    let standing = match partner {
        partner if partner.is_deactivated() => "ENDED, mail is held: it has ended this identity for ever",
        partner if partner.is_frozen() => "FROZEN, mail is held: two histories of its identity are signed",
        partner if partner.is_in_conflict() => "CONFLICT, mail is held",
        partner if partner.has_lapsed() => "LAPSED, mail is held: ask for a new partner file",
        _ => "pinned",
    };
    let mut page =
        format!("{}  {standing}\n{}", partner.domains().join(", "), identity_lines(partner.did().as_str()));
    let _ = writeln!(page, "  Trust        {}", partner.trust());
    if let Some(suite) = partner.suite_minimum() {
        let _ = writeln!(page, "  Minimum      {}", suites::words(suite));
    }
    if let Some(notice) = partner.notice() {
        let _ = writeln!(page, "  Notice       {notice}");
    }
    for address in partner.nodes().iter().flat_map(|node| &node.addresses) {
        let _ = writeln!(page, "  Node         {address}");
    }
    for candidate in partner.candidates() {
        let _ = write!(
            page,
            "  {} is also claimed by\n{}",
            candidate.domain,
            indented(&identity_lines(candidate.did.as_str()))
        );
    }
    page
}

fn identity_lines(did: &str) -> String {
    let fingerprint = did.parse().map_or_else(|_| "unreadable".to_owned(), |did: Did| fingerprint(&did));
    format!("  DID          {did}\n  Fingerprint  {fingerprint}\n")
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// Opens the database beside a gateway that may be running, and closes it properly.
pub(super) fn with_spool<T>(
    config: &Config,
    work: impl AsyncFnOnce(Spool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if !config.data_dir.is_dir() {
        return Err(Failure::Said(format!(
            "{} does not exist (data_dir); was `init` run?",
            config.data_dir.display()
        )));
    }
    block_on(async {
        let (spool, guard) =
            Spool::open_offline(config.database_path(), SpoolConfig::default()).map_err(Failure::said)?;
        let done = work(spool).await;
        guard.close().await;
        done
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_bounded(path, PARTNER_TEXT_BYTES_MAX as u64)?;
    String::from_utf8(bytes).map_err(|_| Failure::Said(format!("{} is not UTF-8 text", path.display())))
}
