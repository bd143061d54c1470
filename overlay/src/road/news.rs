//! What the node task hears: from the swarm, from connections, from stream tasks.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use dccp::Did;
use libp2p::metrics::{Metrics as SwarmMetrics, Recorder};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, identify, mdns, ping};

use super::asking::Counter;
use super::{Connection, Road};
use crate::acceptor::Visitor;
use crate::end::End;
use crate::ground::Report;
use crate::house::House;
use crate::link::Attempt;
use crate::opener::Errand;
use crate::streams::{FromHandler, OpenStream, StreamEvent};
use crate::transport::BehaviourEvent;
use crate::{acceptor, directory, opener, words};

/// Feeds the metrics that libp2p keeps itself.
pub(super) fn record(metrics: &SwarmMetrics, event: &SwarmEvent<BehaviourEvent>) {
    metrics.record(event);
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => metrics.record(event),
        SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => metrics.record(event),
        SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => metrics.record(event),
        _ => {}
    }
}

impl<H: House> Road<H> {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(event)) => self.on_stream(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let connection = Connection {
                    peer: peer_id,
                    address: endpoint.get_remote_address().clone(),
                    dialled: endpoint.is_dialer(),
                    speaks_kad: false,
                    counter: Counter::default(),
                };
                self.connections.insert(connection_id, connection);
                self.connected(peer_id, connection_id);
                self.dialled(&peer_id, Ok(connection_id));
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                let connection = self.connections.remove(&connection_id);
                self.ground.forget(connection_id);
                let cause = cause.map_or("it was closed".to_owned(), |cause| cause.to_string());
                self.connection_ended(connection_id, &format!("the connection ended: {cause}"));
                if let Some(connection) = connection {
                    self.rescue(connection.counter);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                let words = words::of_dial_error(&error);
                self.dial_failed(&peer, &words);
                self.dialled(&peer, Err(&words));
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                let reason = words::of_listen_error(&error);
                if self.refusal_log.pass(Instant::now()) {
                    tracing::info!(from = %send_back_addr, reason, "connection refused");
                }
                self.ground.metrics.peer_refused(words::label_of_listen_error(&error));
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.write().unwrap_or_else(PoisonError::into_inner).push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                let mut listening = self.listening.write().unwrap_or_else(PoisonError::into_inner);
                listening.retain(|known| *known != address);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener had an error"),
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "a listener closed");
            }
            _ => {}
        }
    }

    fn on_stream(&mut self, StreamEvent { peer, connection, what }: StreamEvent) {
        if self.ground.draining.is_cancelled() {
            return; // Dropping the stream resets it.
        }
        match what {
            FromHandler::Opened(OpenStream { did, attempt }, stream) => {
                let errand = Errand { did, peer, connection, attempt };
                let task = opener::run(stream, errand, Arc::clone(&self.ground));
                self.streams.spawn(self.until_stopped(task));
            }
            FromHandler::OpenFailed(OpenStream { did, attempt }, words) => {
                self.link_down(&did, attempt, &words)
            }
            FromHandler::Accepted(stream, place) => {
                // Dropping the stream of a connection that has just ended loses nothing.
                let Some(address) = self.connections.get(&connection).map(|c| c.address.clone()) else {
                    return;
                };
                let visitor = Visitor { peer, connection, address };
                let task = acceptor::run(stream, visitor, place, Arc::clone(&self.ground));
                self.streams.spawn(self.until_stopped(task));
            }
            FromHandler::Asked(topic, stream, place) => self.asked(peer, connection, topic, stream, place),
            FromHandler::TooMany(None) => {
                if self.refusal_log.pass(Instant::now()) {
                    tracing::info!(%peer, "too many streams on one connection");
                }
                self.ground.metrics.peer_refused("too_many_streams");
            }
            FromHandler::TooMany(Some(topic)) => {
                self.ground.metrics.question_refused(topic, "too_many_streams");
            }
        }
    }

    pub(super) fn until_stopped<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: F,
    ) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => {}
            Err(failure) => {
                tracing::info!(peer = %event.peer, %failure, "dead connection");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { connection_id, peer_id, info } = event else { return };
        if let Some(connection) = self.connections.get_mut(&connection_id) {
            connection.speaks_kad = info.protocols.contains(&directory::PROTOCOL);
            self.introduce_to_kad(peer_id);
        }
    }

    fn on_mdns(&mut self, event: mdns::Event) {
        let now = Instant::now();
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    self.links.values_mut().for_each(|link| link.heard(&peer, &address, now));
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, address) in gone {
                    self.links.values_mut().for_each(|link| link.forgotten(&peer, &address));
                }
            }
        }
    }

    pub(super) fn on_report(&mut self, report: Report) {
        match report {
            Report::Up { did, connection, attempt, lane, record } => {
                let Some(link) = self.links.get_mut(&did) else { return };
                let Some(Connection { peer, address, .. }) = self.connections.get(&connection) else {
                    return;
                };
                let peer = *peer;
                let now = Instant::now();
                link.learn(&record, now);
                if link.up(attempt, address, now, (self.ground.clock)()) {
                    tracing::info!(partner = %did, %address, "link up");
                    self.lanes.set(&did, Ok(lane));
                    self.ground.metrics.links_up.inc();
                    self.ground.metrics.link_ups.inc();
                    self.publish(&did);
                    self.introduced(&did, Ok(connection));
                    self.introduce_to_kad(peer);
                }
            }
            Report::Down { did, peer, connection, attempt, end } => {
                self.stream_ended(&peer, connection, &end);
                self.link_down(&did, attempt, &end.to_string());
            }
            Report::Recognised { did, peer, connection, record } => {
                self.swarm.behaviour_mut().streams.recognised(connection);
                let Some(link) = self.links.get_mut(&did) else { return };
                link.learn(&record, Instant::now());
                let step = link.connected(peer, connection);
                self.take(&did, step);
                self.refresh_known();
                self.introduce_to_kad(peer);
            }
            Report::Left { peer, connection, end } => self.stream_ended(&peer, connection, &end),
            Report::Judged(judged) => self.judged(judged),
        }
    }

    fn link_down(&mut self, did: &Did, attempt: Attempt, reason: &str) {
        let Some(link) = self.links.get_mut(did) else { return };
        let was_up = link.state().up;
        let clock = (self.ground.clock)();
        if link.ended(attempt, reason.to_owned(), Instant::now(), clock, &mut rand::rng()) {
            tracing::info!(partner = %did, reason, "link down");
            self.note_down(was_up);
            self.unreachable(did);
        }
    }

    fn stream_ended(&mut self, peer: &PeerId, connection: ConnectionId, end: &End) {
        self.ground.metrics.stream_ended(end.label());
        if !self.connections.contains_key(&connection) {
            self.ground.forget(connection); // It was recognised when it was gone already.
        }
        match end {
            End::Fault(fault) => {
                let stranger = fault.is_of_a_stranger();
                if stranger {
                    self.ground.metrics.peer_refused(end.label());
                }
                if self.refusal_log.pass(Instant::now()) {
                    tracing::warn!(%peer, reason = %fault, let_in = !stranger, "node refused");
                }
            }
            _ => tracing::debug!(%peer, reason = %end, "stream ended"),
        }
        if end.disconnects() {
            self.swarm.close_connection(connection);
        }
    }
}
