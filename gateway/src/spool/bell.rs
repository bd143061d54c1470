//! Bells: tell the courier and delivery that there may be work, without losing a ring and without polling.

use tokio::sync::watch;

/// What kind of work there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Rows to send to partners (courier).
    Out,
    /// Rows to send to the outside world (relay courier).
    Outside,
    /// Rows to deliver (delivery).
    In,
    /// Receipts to bundle.
    Receipts,
}

/// One bell per kind of work. A `watch` remembers a ring for those who were busy when it rang.
pub(super) struct Bells([watch::Sender<u64>; 4]);

impl Bells {
    pub(super) fn new() -> Self {
        Self([(); 4].map(|()| watch::Sender::new(0)))
    }

    pub(super) fn ring(&self, work: Work) {
        self.bell(work).send_modify(|rings| *rings = rings.wrapping_add(1));
    }

    pub(super) fn ring_all(&self) {
        for work in [Work::Out, Work::Outside, Work::In, Work::Receipts] {
            self.ring(work);
        }
    }

    pub(super) fn listen(&self, work: Work) -> watch::Receiver<u64> {
        self.bell(work).subscribe()
    }

    fn bell(&self, work: Work) -> &watch::Sender<u64> {
        let Self([out, outside, r#in, receipts]) = self;
        match work {
            Work::Out => out,
            Work::Outside => outside,
            Work::In => r#in,
            Work::Receipts => receipts,
        }
    }
}
