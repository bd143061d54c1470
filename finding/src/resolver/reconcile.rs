//! Which of several verified bundles counts. Functions of their arguments alone.

use dccp::did::Comparison;

use super::candidate::{Candidate, Offers, Refusal};

/// What comes of comparing what is known with what was offered.
#[derive(Debug)]
pub(crate) struct Reconciled {
    /// The best that is known now.
    pub(crate) best: Option<Candidate>,
    /// Whether a source offered it now.
    pub(crate) confirmed: bool,
    /// A branch that contradicts the best with equal right.
    pub(crate) rival: Option<Rival>,
    /// What was refused, and from whom.
    pub(crate) refusals: Vec<(&'static str, Refusal)>,
}

/// A log that contradicts another one of the same DID, both signed by keys of the same rank.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) candidate: Candidate,
    pub(crate) at_seq: u64,
}

/// Goes through the offers; the best so far meets each.
pub(crate) fn reconcile(held: Option<Candidate>, offers: Offers) -> Reconciled {
    let mut outcome = Reconciled { best: held, confirmed: false, rival: None, refusals: Vec::new() };
    for (name, offer) in offers {
        if let Err(refusal) = offer.and_then(|offer| outcome.meet(offer)) {
            outcome.refusals.push((name, refusal));
        }
    }
    outcome
}

impl Reconciled {
    fn meet(&mut self, offer: Candidate) -> Result<(), Refusal> {
        let Some(best) = &self.best else {
            self.take(offer);
            return Ok(());
        };
        match best.bundle.log.compare(&offer.bundle.log) {
            Comparison::Same | Comparison::Newer | Comparison::Superseded { .. } => {
                check_epoch(best, &offer)?;
                self.take(offer);
                Ok(())
            }
            Comparison::Older => Err(Refusal::Stale),
            Comparison::Supersedes { at_seq } => Err(Refusal::CutOff { at_seq }),
            Comparison::Duplicity { at_seq } => {
                self.rival = Some(Rival { candidate: offer, at_seq });
                Ok(())
            }
            Comparison::Unrelated => Err(Refusal::OtherDid),
        }
    }

    fn take(&mut self, offer: Candidate) {
        // A log that the recovery keys signed may settle a quarrel that two other branches have.
        let settled = |rival: &Rival| beats(&offer, &rival.candidate);
        self.rival = self.rival.take().filter(|rival| !settled(rival));
        self.best = Some(offer);
        self.confirmed = true;
    }
}

/// Whether `one` continues `other`, or cuts it off.
pub(crate) fn beats(one: &Candidate, other: &Candidate) -> bool {
    matches!(one.bundle.log.compare(&other.bundle.log), Comparison::Older | Comparison::Supersedes { .. })
}

/// The epoch never goes back within an era. A rotation begins anew, above the least epoch that its log allows: a thief
/// of the old key may have used up all numbers.
fn check_epoch(known: &Candidate, offered: &Candidate) -> Result<(), Refusal> {
    let same_era = known.document.era() == offered.document.era();
    // An ended identity has no devices and no epoch.
    if same_era && !offered.document.is_deactivated() && offered.epoch < known.epoch {
        return Err(Refusal::Regressed { known: known.epoch, offered: offered.epoch });
    }
    Ok(())
}
