//! The doors that are opened when everything behind them works.

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use smtp::server::Premises;
use tokio::net::TcpListener;

use super::ground::Ground;
use super::{Error, Stops};
use crate::config::{Config, SmtpLimits, Tls};
use crate::courier;
use crate::http::HttpState;
use crate::introductions::Room;

impl Ground {
    /// The SMTP listeners, the HTTPS door and the control listener: last, when everything behind them works.
    pub(super) async fn open_doors(
        &self,
        couriers: &courier::Handle,
        overlay: &overlay::Overlay,
        room: &Room,
        registry: Registry,
        stops: &Stops,
    ) -> Result<(), Error> {
        let reception = Arc::new(self.reception(couriers, room)?);
        let smtp_config = Arc::new(smtp_config(&self.config)?);
        let premises = premises(&self.config.smtp.limits);
        for address in &self.config.smtp.listen {
            let listener = listen(*address, "smtp.listen").await?;
            stops.doors.spawn(smtp::server::serve(
                listener,
                smtp_config.clone(),
                premises.clone(),
                reception.clone(),
                stops.front.clone(),
            ));
        }
        self.open_publication(room, stops).await?;
        let listener = listen(self.config.control.listen, "control.listen").await?;
        let state = HttpState {
            control: Arc::new(self.answers(overlay, room)),
            registry: Arc::new(registry),
            metrics: self.metrics.clone(),
            token: keystore::keyfile::read_token(&self.config.control.token)
                .map_err(crate::custody::CustodyError::from)?,
            hosts: Vec::new(),
        };
        stops.doors.spawn(crate::http::serve(listener, state, stops.front.clone()));
        Ok(())
    }

    /// The HTTPS door, if the configuration has one.
    async fn open_publication(&self, room: &Room, stops: &Stops) -> Result<(), Error> {
        let Some(publication) = &self.config.publication else { return Ok(()) };
        let tls = server_config("publication", &publication.tls)?;
        let published = Arc::new(room.publishing());
        for address in &publication.listen {
            let listener = listen(*address, "publication.listen").await?;
            let (tls, published, stop) = (tls.clone(), published.clone(), stops.front.clone());
            stops.doors.spawn(crate::publication::serve(listener, tls, published, stop));
        }
        Ok(())
    }
}

pub(super) async fn listen(address: SocketAddr, key: &str) -> Result<TcpListener, Error> {
    let io = |source| Error::Io { what: format!("cannot listen on {address} ({key})"), source };
    TcpListener::bind(address).await.map_err(io)
}

pub(super) fn server_config(door: &'static str, tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    crate::config::tls::server_config(tls).map_err(|error| Error::Tls { door, why: error.to_string() })
}

/// What all SMTP listeners share.
fn premises(limits: &SmtpLimits) -> Premises {
    let memory_bytes_max = usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX);
    Premises::new(memory_bytes_max, smtp::server::Limits::SOURCES_MAX)
}

fn smtp_config(config: &Config) -> Result<smtp::server::Config, Error> {
    let limits = &config.smtp.limits;
    let tls = config.smtp.tls.as_ref().map(|tls| server_config("smtp", tls)).transpose()?;
    Ok(smtp::server::Config {
        role: smtp::server::Role::Relay,
        hostname: config.smtp.hostname.clone(),
        size_max: config.smtp.size_bytes_max,
        trusted_networks: config
            .smtp
            .trusted_networks
            .iter()
            .filter_map(|network| network.to_string().parse().ok())
            .collect(),
        proxy_networks: Vec::new(),
        bare_line_ends_from: Vec::new(),
        tls,
        implicit_tls: false,
        auth: smtp::server::Mechanisms::new(),
        limits: smtp::server::Limits {
            sessions_max: limits.sessions_max as usize,
            per_source_max: limits.sessions_per_source_max as usize,
            commands_max: limits.commands_max,
            errors_max: limits.errors_max,
            recipients_max: limits.recipients_max as usize,
            idle_s_max: limits.idle_s_max,
            data_rate_floor: limits.data_bytes_per_s_min,
            drain_s_max: config.shutdown_grace_s / 3,
            ..smtp::server::Limits::default()
        },
    })
}
