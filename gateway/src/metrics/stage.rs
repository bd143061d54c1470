//! The stretches of a message's way whose duration is measured.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the latency buckets in seconds: from one sealing operation (below a millisecond) to a
/// partner that was away for a working day. One list for all stages, so that they can be compared.
const LATENCY_BUCKETS_S: [f64; 20] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1_800.0, 7_200.0, 28_800.0,
];

/// A stretch of a message's way. Each is measured by one clock, so that two gateways need not agree on the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Origin: last octet of `DATA` to the `250`, everything in between included.
    Accept,
    /// Origin: sealing for one destination.
    Seal,
    /// Either side: one durable write, from handing it to the spool to its sync.
    Commit,
    /// Origin: acceptance to the partner's acknowledgement of the hop.
    Acknowledge,
    /// Destination: a sealed message read from the overlay to its durable write.
    Arrive,
    /// Destination: opening and verifying one sealed message.
    Open,
    /// Destination: one hand-over to the internal mail server.
    HandOver,
    /// Destination: arrival to the last recipient handed over.
    ArriveToDelivered,
    /// Origin: acceptance to the partner's signed receipt.
    EndToEnd,
}

impl Stage {
    /// Every stage, in the order mail passes them.
    pub const ALL: [Self; 9] = [
        Self::Accept,
        Self::Seal,
        Self::Commit,
        Self::Acknowledge,
        Self::Arrive,
        Self::Open,
        Self::HandOver,
        Self::ArriveToDelivered,
        Self::EndToEnd,
    ];

    /// The value of the label `stage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Seal => "seal",
            Self::Commit => "commit",
            Self::Acknowledge => "acknowledge",
            Self::Arrive => "arrive",
            Self::Open => "open",
            Self::HandOver => "hand_over",
            Self::ArriveToDelivered => "arrive_to_delivered",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// One histogram per stage, all there from the first scrape and found without a lock.
#[derive(Clone)]
pub(super) struct Stages([Histogram; Stage::ALL.len()]);

impl Stages {
    pub(super) fn new(root: &mut Registry) -> Self {
        let family = Family::<StageLabel, Histogram>::new_with_constructor(latency as fn() -> Histogram);
        root.register_with_unit("stage_duration", "How long a stage took", Unit::Seconds, family.clone());
        Self(Stage::ALL.map(|stage| family.get_or_create_owned(&StageLabel { stage: stage.as_str() })))
    }

    pub(super) fn of(&self, stage: Stage) -> &Histogram {
        let [accept, seal, commit, acknowledge, arrive, open, hand_over, arrive_to_delivered, end_to_end] =
            &self.0;
        match stage {
            Stage::Accept => accept,
            Stage::Seal => seal,
            Stage::Commit => commit,
            Stage::Acknowledge => acknowledge,
            Stage::Arrive => arrive,
            Stage::Open => open,
            Stage::HandOver => hand_over,
            Stage::ArriveToDelivered => arrive_to_delivered,
            Stage::EndToEnd => end_to_end,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS_S)
}
