//! What an administrator is told of a DID: [`control::Control::identity`].

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use control::{ControlError, IdentityView};
use dccp::did::w3c;
use dccp::partner::{PartnerFile, VerifiedPartner, fingerprint};
use dccp::{Did, UnixMillis};
use finding::{Resolution, ResolveError, Resolver, Source, SourceError, Standing};

use super::{AskRoad, Introductions};

/// Looks DIDs up.
#[derive(Clone)]
pub struct Identify {
    /// Ours and our people's.
    pub introductions: Arc<Introductions>,
    /// Everybody else's.
    pub resolver: Arc<Resolver>,
    /// Asks nodes that the administrator names.
    pub road: Arc<AskRoad>,
    /// The names of what the resolver asks.
    pub sources: Vec<&'static str>,
}

impl Identify {
    /// What `did` resolves to; `nodes` are asked instead of the usual sources when there are any.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] when the sources do not know the DID, [`ControlError::Unavailable`] when they do not
    /// answer or contradict each other.
    pub async fn identify(
        &self,
        did: Did,
        nodes: Vec<String>,
        now: UnixMillis,
    ) -> Result<IdentityView, ControlError> {
        if let Some(bundle) = self.introductions.of_ours(&did).await {
            return verified(&bundle, &did, "this gateway", now);
        }
        if !nodes.is_empty() {
            let bundle = self.road.fetch(&did, &nodes).await.map_err(|error| unanswered(&did, &error))?;
            return verified(&bundle, &did, self.road.name(), now);
        }
        let resolved = self.resolver.resolve(&did, now).await.map_err(|error| unresolved(&did, &error))?;
        let (age_ms, sources) = match resolved.standing {
            Standing::Fresh => (0, self.agreeing(&resolved)),
            Standing::FromCache { age_ms } => (age_ms, vec!["the cache"]),
            Standing::Stale { age_ms } => (age_ms, vec!["the cache, because no source has as much"]),
        };
        let records = &resolved.records;
        Ok(view(&records.bundle, &records.partner, &sources, age_ms))
    }

    /// The sources that offered what was taken, or the same.
    fn agreeing(&self, resolved: &Resolution) -> Vec<&'static str> {
        let refused = |name: &&str| resolved.refusals.iter().any(|(refused, _)| refused == name);
        self.sources.iter().filter(|name| !refused(name)).copied().collect()
    }
}

fn verified(bundle: &[u8], did: &Did, source: &str, now: UnixMillis) -> Result<IdentityView, ControlError> {
    let refused =
        |why: String| ControlError::Unavailable(format!("What {source} says of {did} is refused: {why}."));
    let bundle = PartnerFile::from_bytes(bundle).map_err(|error| refused(error.to_string()))?;
    let partner = bundle.verify(now).map_err(|error| refused(error.to_string()))?;
    match partner.document.did() == did {
        true => Ok(view(&bundle, &partner, &[source], 0)),
        false => Err(refused("it is of another DID".to_owned())),
    }
}

fn view(bundle: &PartnerFile, partner: &VerifiedPartner, sources: &[&str], age_ms: u64) -> IdentityView {
    let document = &partner.document;
    IdentityView {
        did: document.did().to_string(),
        fingerprint: fingerprint(document.did()),
        version: document.seq(),
        custody: document.custody().as_str().to_owned(),
        deactivated: document.is_deactivated(),
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        age_ms,
        document: w3c::document(document, Some(&partner.devices)),
        bundle: BASE64.encode(bundle.to_bytes()),
    }
}

fn unanswered(did: &Did, error: &SourceError) -> ControlError {
    match error {
        SourceError::NotFound => ControlError::NotFound(format!("The named nodes do not know {did}.")),
        error => ControlError::Unavailable(format!("The named nodes cannot be asked: {error}.")),
    }
}

fn unresolved(did: &Did, error: &ResolveError) -> ControlError {
    match error {
        ResolveError::NotFound => ControlError::NotFound(format!("No source knows {did}.")),
        error => ControlError::Unavailable(format!("{did} does not resolve: {error}.")),
    }
}
