//! Counters of the road, registered under `dccp_overlay_`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::error::AskError;
use crate::topic::Topic;

/// Why, as one word of a small fixed vocabulary: never text that a peer sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    reason: &'static str,
}

/// A question's topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct About {
    topic: &'static str,
}

/// A question's topic, and why it has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Unanswered {
    topic: &'static str,
    reason: &'static str,
}

/// Handles to the counters; cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) messages_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) chunks_sent: Counter,
    pub(crate) messages_acknowledged: Counter,
    pub(crate) messages_interrupted: Counter,
    pub(crate) messages_received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) chunks_received: Counter,
    pub(crate) messages_kept: Counter,
    pub(crate) messages_duplicate: Counter,
    pub(crate) messages_not_now: Counter,
    pub(crate) links_up: Gauge,
    pub(crate) link_ups: Counter,
    pub(crate) link_downs: Counter,
    pub(crate) dials_failed: Counter,
    refused_by_partner: Family<Reason, Counter>,
    refused_by_us: Family<Reason, Counter>,
    peers_refused: Family<Reason, Counter>,
    streams_ended: Family<Reason, Counter>,
    asks: Family<About, Counter>,
    asks_failed: Family<Unanswered, Counter>,
    questions_answered: Family<About, Counter>,
    questions_refused: Family<Unanswered, Counter>,
    pub(crate) heads_kept: Counter,
    heads_refused: Family<Reason, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let m = Metrics::default();
        let r = registry.sub_registry_with_prefix("dccp_overlay");
        r.register("messages_sent", "Messages written to a partner's stream", m.messages_sent.clone());
        r.register("bytes_sent", "Sealed bytes written to partners' streams", m.bytes_sent.clone());
        r.register("chunks_sent", "Chunks of bodies written to partners' streams", m.chunks_sent.clone());
        r.register(
            "messages_acknowledged",
            "Messages a partner acknowledged",
            m.messages_acknowledged.clone(),
        );
        r.register(
            "messages_interrupted",
            "Messages in flight when their stream ended",
            m.messages_interrupted.clone(),
        );
        r.register("messages_received", "Messages read from partners' streams", m.messages_received.clone());
        r.register("bytes_received", "Sealed bytes read from partners' streams", m.bytes_received.clone());
        r.register(
            "chunks_received",
            "Chunks of bodies read from partners' streams",
            m.chunks_received.clone(),
        );
        r.register("messages_kept", "Received messages that are durable here", m.messages_kept.clone());
        r.register(
            "messages_duplicate",
            "Received messages that were here already",
            m.messages_duplicate.clone(),
        );
        r.register("messages_not_now", "Received messages put off by the house", m.messages_not_now.clone());
        r.register("links_up", "Partners to whom a message could be sent now", m.links_up.clone());
        r.register("link_ups", "Times a link to a partner came up", m.link_ups.clone());
        r.register("link_downs", "Times a link to a partner went down", m.link_downs.clone());
        r.register("dials_failed", "Attempts to reach a partner that failed", m.dials_failed.clone());
        r.register(
            "messages_refused_by_partner",
            "Messages a partner refused, by reason",
            m.refused_by_partner.clone(),
        );
        r.register("messages_refused_by_us", "Messages we refused, by reason", m.refused_by_us.clone());
        r.register("peers_refused", "Connections and streams refused, by reason", m.peers_refused.clone());
        r.register("streams_ended", "Message streams that ended, by reason", m.streams_ended.clone());
        m.register_asks(r);
        m
    }

    fn register_asks(&self, r: &mut Registry) {
        r.register("asks", "Questions we asked, by topic", self.asks.clone());
        r.register(
            "asks_failed",
            "Questions we asked that have no answer, by topic and reason",
            self.asks_failed.clone(),
        );
        r.register("questions_answered", "Questions we answered, by topic", self.questions_answered.clone());
        r.register(
            "questions_refused",
            "Questions we did not answer, by topic and reason",
            self.questions_refused.clone(),
        );
        r.register("heads_kept", "Head records of others that were taken in", self.heads_kept.clone());
        r.register(
            "heads_refused",
            "Records of others that were not taken in, by reason",
            self.heads_refused.clone(),
        );
    }

    pub(crate) fn asked(&self, topic: Topic, outcome: Result<(), &AskError>) {
        let topic = topic.label();
        self.asks.get_or_create(&About { topic }).inc();
        if let Err(error) = outcome {
            self.asks_failed.get_or_create(&Unanswered { topic, reason: error.label() }).inc();
        }
    }

    pub(crate) fn question_answered(&self, topic: Topic) {
        self.questions_answered.get_or_create(&About { topic: topic.label() }).inc();
    }

    pub(crate) fn question_refused(&self, topic: Topic, reason: &'static str) {
        self.questions_refused.get_or_create(&Unanswered { topic: topic.label(), reason }).inc();
    }

    pub(crate) fn head_refused(&self, reason: &'static str) {
        self.heads_refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn refused_by_partner(&self, reason: &'static str) {
        self.refused_by_partner.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn refused_by_us(&self, reason: &'static str) {
        self.refused_by_us.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn peer_refused(&self, reason: &'static str) {
        self.peers_refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn stream_ended(&self, reason: &'static str) {
        self.streams_ended.get_or_create(&Reason { reason }).inc();
    }
}
