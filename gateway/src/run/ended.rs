//! What is left of a gateway whose identity has ended: the HTTPS door, where whoever asks reads that it has.
//!
//! No mail is taken and no key is read but the one that a certificate of `acme` rests under. The door stays for as long as somebody may still look for the identity, which
//! is for as long as partners have not heard of its end.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use dccp::Did;
use dccp::partner::PartnerFile;
use finding::WellKnown;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, doors, told_to_stop};
use crate::certificates::Certificates;
use crate::clock;
use crate::config::Config;
use crate::custody::{self, CustodyError};
use crate::publication::{self, Entry, Published, Unavailable};

/// Serves the records that `did deactivate` left until it is told to stop.
///
/// # Errors
/// [`CustodyError::Ended`] without `publication` in the configuration: there is nothing to do then.
pub(super) async fn run(config: &Config, did: Did) -> Result<(), Error> {
    let Some(door) = &config.publication else { return Err(CustodyError::Ended(did).into()) };
    let published: Arc<dyn Published> = Arc::new(last_words(config)?);
    let (acme, renewal) = match config.acme {
        Some(_) => doors::acme(config, &custody::vault(config)?, clock::system)?.unzip(),
        None => (None, None),
    };
    let certificates = Arc::new(Certificates::new(acme, clock::system));
    let tls = doors::https(&certificates, door)?;
    let (stop, doors) = (CancellationToken::new(), TaskTracker::new());
    doors::follow(config, &certificates, renewal, &stop, &doors).await?;
    for address in &door.listen {
        let listener = doors::listen(*address, "publication.listen").await?;
        doors.spawn(publication::serve(listener, tls.clone(), published.clone(), stop.clone()));
    }
    tracing::warn!(%did, "this identity has ended: the gateway takes no mail, and only tells who asks over HTTPS");
    told_to_stop().await?;
    stop.cancel();
    doors.close();
    doors.wait().await;
    Ok(())
}

/// The records of an identity that has ended, and no page that names it for a domain.
struct LastWords(Arc<Entry>);

fn last_words(config: &Config) -> Result<LastWords, Error> {
    let path = config.ended_path("cbor");
    let bytes = fs::read(&path)
        .map_err(|source| Error::Io { what: format!("cannot read {}", path.display()), source })?;
    let wrong = |why: String| CustodyError::Identity(format!("{}: {why}", path.display()));
    let bundle = PartnerFile::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
    let entry = Entry::new(&bundle, clock::system()).map_err(|error| wrong(error.to_string()))?;
    Ok(LastWords(Arc::new(entry)))
}

#[async_trait]
impl Published for LastWords {
    async fn page(&self, _domain: &str) -> Result<Option<WellKnown>, Unavailable> {
        Ok(None)
    }

    async fn entry(&self, did: &Did) -> Result<Option<Arc<Entry>>, Unavailable> {
        Ok((self.0.did() == did).then(|| self.0.clone()))
    }
}
