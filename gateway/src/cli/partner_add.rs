//! `partner add DOMAIN`: find the organisation behind a domain, show what was found and how far it can be trusted, ask.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};
use std::sync::Arc;

use dccp::partner::{PartnerFile, fingerprint};
use dccp::{Did, UnixMillis};
use finding::{Discovered, DnsFinding, Finder, HttpsFinding, Source, SourceError, Trust};

use super::partner::{imported_page, with_spool};
use super::{Failure, ask, block_on};
use crate::config::Config;
use crate::custody::{Identity, identity_paths};
use crate::partners::{self, Ourselves};

#[derive(clap::Args)]
pub(super) struct AddArgs {
    /// The partner's mail domain.
    domain: String,
    /// The partner's fingerprint, as compared by voice: raises the trust to that of an introduction by hand.
    #[arg(long)]
    fingerprint: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn add(config: &Config, args: &AddArgs, now: UnixMillis) -> Result<String, Failure> {
    let identity = Identity::load(&identity_paths(config), now).map_err(Failure::said)?;
    let ourselves = Ourselves { did: identity.document.did().clone(), domains: config.domains() };
    if ourselves.domains.contains(&args.domain.to_ascii_lowercase()) {
        return Err(Failure::Said(format!(
            "{} is our own domain; nobody is a partner of itself",
            args.domain
        )));
    }
    let finder = Finder::new(config.finding.settings()).map_err(Failure::said)?;
    let overlay: Arc<dyn Source> = Arc::new(RunningGateway(config.clone()));
    let found = block_on(async {
        finder.discover(&args.domain, Some(overlay), now).await.map_err(|why| {
            Failure::Said(format!(
                "{why}\nNothing was changed: mail to {} goes the way it went before.",
                args.domain
            ))
        })
    })?;
    let trust = match &args.fingerprint {
        Some(spoken) if partners::is_spoken(&found.did, spoken) => Trust::Manual,
        Some(_) => {
            let is = fingerprint(&found.did);
            let why =
                format!("the fingerprint is another one: {} names {is}. Nothing was changed.", args.domain);
            return Err(Failure::Said(why));
        }
        None => found.trust,
    };
    let page = found_page(&found, trust);
    if trust == Trust::None {
        let advice = "Only a partner file or a compared fingerprint (--fingerprint) can introduce it.";
        return Err(Failure::Said(format!("{page}\n{advice} Nothing was changed.")));
    }
    if !args.yes && !agreed(&page)? {
        return Ok("Nothing was changed.\n".to_owned());
    }
    let bundle: PartnerFile = found.bundle;
    let imported = with_spool(config, async |spool| {
        partners::take_in(&spool, bundle, trust, &ourselves, now).await.map_err(Failure::said)
    })?;
    let shown = if args.yes { page + "\n" } else { String::new() };
    Ok(shown + &imported_page(imported)?)
}

/// What was found, for a person who decides.
fn found_page(found: &Discovered, trust: Trust) -> String {
    let dns = match &found.dns {
        DnsFinding::Missing => "no record".to_owned(),
        DnsFinding::One { did, dnssec } => format!("{did} (DNSSEC: {dnssec})"),
    };
    let https = match &found.https {
        HttpsFinding::Page { host, page } => format!("{} (https://{host})", page.did),
        HttpsFinding::Nothing { .. } => "no page".to_owned(),
    };
    let document = &found.partner.document;
    let mut page = format!(
        "{}\n  DID          {}\n  Fingerprint  {}\n  DNS          {dns}\n  HTTPS        {https}\n  Log          operation {}, names {} back\n  Trust        {trust}\n",
        found.domain,
        found.did,
        fingerprint(&found.did),
        document.seq(),
        document.domains().join(", "),
    );
    for device in found.partner.devices.iter() {
        let _ = writeln!(page, "  Device       {}, held by {}", device.id, device.held_by.as_str());
    }
    for note in &found.notes {
        let _ = writeln!(page, "  Note         {note}");
    }
    page
}

/// Asks on the terminal. Without one there is nobody to ask.
fn agreed(page: &str) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let advice = "There is no terminal to ask on; say --yes to pin it. Nothing was changed.";
        return Err(Failure::Said(format!("{page}\n{advice}")));
    }
    let mut terminal = std::io::stderr();
    let asked =
        write!(terminal, "{page}\nPin this identity as a partner? [yes/no] ").and_then(|()| terminal.flush());
    let mut answer = String::new();
    asked.and_then(|()| input.lock().read_line(&mut answer)).map_err(Failure::said)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

/// The overlay as a second source, if a gateway runs here; without it the mirror is the only one.
struct RunningGateway(Config);

#[async_trait::async_trait]
impl Source for RunningGateway {
    fn name(&self) -> &'static str {
        "overlay"
    }

    async fn fetch(&self, did: &Did, nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        ask::bundle(&self.0, did, nodes).await.map_err(SourceError::Unreachable)
    }
}
