//! The doors that are opened when everything behind them works.

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use smtp::server::{Mechanisms, Premises, Role};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ground::Ground;
use super::{Error, Stops};
use crate::agents::door::{self, Door, SendRates};
use crate::certificates::Certificates;
use crate::certificates::acme::{Acme, Renewal};
use crate::clock::Clock;
use crate::config::tls::TlsError;
use crate::config::{self, Config, MailDoor, Network, Publication, SmtpLimits};
use crate::custody::Vault;
use crate::exchange::Exchange;
use crate::flows::agent_out::AgentOut;
use crate::flows::reception::Reception;
use crate::http::HttpState;
use crate::introductions::Room;

impl Ground {
    /// The SMTP listeners, the HTTPS door and the control listener: last, when everything behind them works.
    pub(super) async fn open_doors(
        &self,
        reception: Reception,
        overlay: &overlay::Overlay,
        room: &Room,
        exchange: &Arc<Exchange>,
        mut registry: Registry,
        stops: &Stops,
    ) -> Result<(), Error> {
        let reception = Arc::new(reception);
        let (acme, renewal) = acme(&self.config, self.custody.vault(), self.clock)?.unzip();
        let certificates = Arc::new(Certificates::watched(acme, self.clock, &mut registry));
        self.open_mail_doors(&reception, &certificates, stops).await?;
        self.open_publication(room, &certificates, stops).await?;
        self.open_to_agents(&reception, stops).await?;
        follow(&self.config, &certificates, renewal, &stops.front, &stops.doors).await?;
        let listener = listen(self.config.control.listen, "control.listen").await?;
        let state = HttpState {
            control: Arc::new(self.answers(overlay, room, &stops.fallen)),
            queue: Arc::new(self.administration(overlay, exchange)),
            archive: Arc::new(self.archive()),
            certificates,
            registry: Arc::new(registry),
            metrics: self.metrics.clone(),
            token: keystore::keyfile::read_token(&self.config.control.token)
                .map_err(crate::custody::CustodyError::from)?,
            hosts: Vec::new(),
        };
        stops.doors.spawn(crate::http::serve(listener, state, stops.front.clone()));
        Ok(())
    }

    /// The doors for mail, which share the memory for messages and what is remembered of sources.
    async fn open_mail_doors(
        &self,
        reception: &Arc<Reception>,
        certificates: &Certificates,
        stops: &Stops,
    ) -> Result<(), Error> {
        let premises = premises(&self.config.smtp.limits);
        for door in self.config.smtp.doors() {
            for (key, addresses, implicit_tls) in
                [("listen", door.listen, false), ("listen_tls", door.listen_tls, true)]
            {
                let listening = Arc::new(self.mail_door(&door, implicit_tls, certificates)?);
                for address in addresses {
                    let listener = listen(*address, &format!("{}.{key}", door.key)).await?;
                    let (premises, reception) = (premises.clone(), reception.clone());
                    let stop = stops.front.clone();
                    stops.doors.spawn(smtp::server::serve(
                        listener,
                        listening.clone(),
                        premises,
                        reception,
                        stop,
                    ));
                }
            }
        }
        Ok(())
    }

    fn mail_door(
        &self,
        door: &MailDoor<'_>,
        implicit_tls: bool,
        certificates: &Certificates,
    ) -> Result<smtp::server::Config, Error> {
        let wrong = |error: TlsError| Error::Tls { door: door.key, why: error.to_string() };
        let clients = door.client_ca.map(|path| config::tls::authority(path)).transpose().map_err(wrong)?;
        let certificate = certificates.of_door(door.tls).map_err(wrong)?;
        let tls = certificate.map(|certificate| certificate.server_config(clients)).transpose();
        Ok(smtp::server::Config {
            role: door.role,
            hostname: self.config.smtp.hostname.clone(),
            size_max: self.config.smtp.size_bytes_max,
            trusted_networks: networks(door.trusted_networks),
            proxy_networks: networks(door.proxy_networks),
            bare_line_ends_from: networks(door.bare_line_ends_from),
            tls: tls.map_err(wrong)?,
            implicit_tls,
            auth: self.mechanisms(door.role),
            limits: limits(&door.limits, self.config.shutdown_grace_s / 3),
        })
    }

    /// How people may log in: as whoever knows them can tell. Servers do not log in.
    fn mechanisms(&self, role: Role) -> Mechanisms {
        let users = if role == Role::Submission { self.users() } else { None };
        users.map_or_else(Mechanisms::new, |users| users.mechanisms())
    }

    /// The door for agents, if the configuration has one.
    async fn open_to_agents(&self, reception: &Arc<Reception>, stops: &Stops) -> Result<(), Error> {
        let configured = &self.config.agents;
        let Some(address) = configured.listen else { return Ok(()) };
        let listener = listen(address, "agents.listen").await?;
        let door = Door {
            agents: self.agents.clone(),
            out: AgentOut::new(reception.clone()),
            rates: SendRates {
                per_minute: configured.sends_per_minute,
                per_recipient_per_minute: configured.sends_per_recipient_per_minute,
            },
            message_bytes_max: configured.message_bytes_max,
            stop: stops.front.clone(),
            clock: self.clock,
        };
        stops.doors.spawn(door::serve(listener, door));
        Ok(())
    }

    /// The HTTPS door, if the configuration has one.
    async fn open_publication(
        &self,
        room: &Room,
        certificates: &Certificates,
        stops: &Stops,
    ) -> Result<(), Error> {
        let Some(publication) = &self.config.publication else { return Ok(()) };
        let tls = https(certificates, publication)?;
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

/// The TLS of the HTTPS door, where an authority may look for us, too.
pub(super) fn https(
    certificates: &Certificates,
    publication: &Publication,
) -> Result<Arc<ServerConfig>, Error> {
    let wrong = |why: String| Error::Tls { door: "publication", why };
    let certificate =
        certificates.of_door(publication.tls.as_ref()).map_err(|error| wrong(error.to_string()))?;
    let certificate = certificate.ok_or_else(|| wrong("there is none".to_owned()))?;
    let config = certificate.server_config(None).map_err(|error| wrong(error.to_string()))?;
    Ok(match certificates.acme() {
        Some(acme) => acme.at_https(config),
        None => config,
    })
}

/// The certificate of an authority, if the configuration names one, and who renews it.
pub(super) fn acme(
    config: &Config,
    vault: &Arc<Vault>,
    clock: Clock,
) -> Result<Option<(Acme, Renewal)>, Error> {
    let opened = config.acme.as_ref().map(|acme| Acme::open(acme, config, vault.clone(), clock));
    Ok(opened.transpose()?)
}

/// Follows the files, renews what the authority gave, and answers it when it asks.
pub(super) async fn follow(
    config: &Config,
    certificates: &Arc<Certificates>,
    renewal: Option<Renewal>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(), Error> {
    if let (Some(acme), Some(configured)) = (certificates.acme(), &config.acme) {
        for address in &configured.listen {
            tasks.spawn(acme.serve(listen(*address, "acme.listen").await?, stop.clone()));
        }
    }
    if let Some(renewal) = renewal {
        tasks.spawn(renewal.run(stop.clone()));
    }
    tasks.spawn(certificates.clone().follow(stop.clone()));
    Ok(())
}

/// What all doors for mail share.
fn premises(limits: &SmtpLimits) -> Premises {
    let memory_bytes_max = usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX);
    Premises::new(memory_bytes_max, limits.sources_max as usize)
}

fn networks(ours: &[Network]) -> Vec<smtp::server::Network> {
    ours.iter().filter_map(|network| network.to_string().parse().ok()).collect()
}

fn limits(limits: &SmtpLimits, drain_s_max: u64) -> smtp::server::Limits {
    smtp::server::Limits {
        sessions_max: limits.sessions_max as usize,
        per_source_max: limits.sessions_per_source_max as usize,
        connections_per_minute_max: limits.connections_per_minute_max,
        errors_per_minute_max: limits.errors_per_minute_max,
        refusals_per_minute_max: limits.refusals_per_minute_max,
        auth_failures_max: limits.auth_failures_max,
        ban_s: limits.ban_s,
        commands_max: limits.commands_max,
        errors_max: limits.errors_max,
        recipients_max: limits.recipients_max as usize,
        idle_s_max: limits.idle_s_max,
        data_rate_floor: limits.data_bytes_per_s_min,
        drain_s_max,
        ..smtp::server::Limits::default()
    }
}
