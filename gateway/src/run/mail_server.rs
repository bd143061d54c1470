//! How our own mail server is reached.

use std::sync::Arc;

use rustls::RootCertStore;
use smtp::client::{Protocol, Target, TlsPolicy, Verification};

use super::Error;
use crate::config::{Config, DeliveryProtocol, DeliveryTls, tls};

/// Its address, our name there, and how the way is protected.
///
/// # Errors
/// When a certificate is to be verified and there is no authority to do so.
pub(super) fn target(config: &Config) -> Result<Target, Error> {
    let protocol = match config.delivery.protocol {
        DeliveryProtocol::Smtp => Protocol::Smtp,
        DeliveryProtocol::Lmtp => Protocol::Lmtp,
    };
    Ok(Target {
        connections_max: config.delivery.connections_max as usize,
        name: config.delivery.name.clone(),
        tls: policy(config)?,
        ..Target::new(protocol, config.delivery.address.to_string(), &config.smtp.hostname)
    })
}

fn policy(config: &Config) -> Result<TlsPolicy, Error> {
    let delivery = &config.delivery;
    Ok(match delivery.tls {
        DeliveryTls::Never => TlsPolicy::Never,
        DeliveryTls::Opportunistic => TlsPolicy::Opportunistic,
        DeliveryTls::Required => {
            let name = delivery.name.as_deref().unwrap_or_else(|| delivery.address.host());
            let names = vec![name.to_owned()];
            TlsPolicy::Required(Verification::Pkix { names, roots: Arc::new(authorities(config)?) })
        }
    })
}

/// The one that was named, or all that are trusted elsewhere.
fn authorities(config: &Config) -> Result<RootCertStore, Error> {
    let unusable = |why: String| Error::Tls { door: "delivery", why };
    match &config.delivery.ca {
        Some(ca) => tls::authority(ca).map_err(|error| unusable(error.to_string())),
        None => {
            finding::trusted_roots(&config.finding.settings()).map_err(|error| unusable(error.to_string()))
        }
    }
}
