//! `/`: the gateway at a glance.

use askama::Template;
use control::{
    Alarm, Direction, Kind, LinkState, MessageSummary, Overview, PartnerView, RecentPage, Standing, State,
    Trust,
};

use super::{Chip, Frame, message_href, sender_word};
use crate::words::{Moment, count, duration, size, visible};

/// `/`
#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage {
    pub(crate) frame: Frame,
    pub(crate) did: String,
    pub(crate) fingerprint: Vec<String>,
    pub(crate) version: String,
    pub(crate) uptime: String,
    pub(crate) numbers: Vec<Number>,
    pub(crate) alarms: Vec<Cry>,
    pub(crate) partners: Vec<Partner>,
    pub(crate) filter: Filter,
    pub(crate) messages: Vec<Line>,
    pub(crate) older: Option<String>,
    /// The moment of the answer.
    pub(crate) now: Moment,
}

/// One number on the first page.
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) note: String,
    /// `good`, `warn`, `bad`, `calm`: a class of the style sheet.
    pub(crate) tone: &'static str,
}

/// One alarm.
pub(crate) struct Cry {
    pub(crate) about: String,
    pub(crate) words: String,
    pub(crate) at: Moment,
}

/// One partner organisation.
pub(crate) struct Partner {
    pub(crate) domain: String,
    pub(crate) fingerprint: String,
    pub(crate) up: bool,
    /// What is wrong with what we know of it: a word for the chip and a sentence.
    pub(crate) trouble: Option<(&'static str, &'static str)>,
    /// How we came to believe in it.
    pub(crate) trust: &'static str,
    /// What the last look at its domain found; empty when all is as it was.
    pub(crate) notice: String,
    /// `connected over quic for 3 h 20 min`
    pub(crate) link: String,
    pub(crate) address: String,
    /// Why it is not connected; empty while it is.
    pub(crate) error: String,
}

/// Which messages the table shows, and the links to other choices.
pub(crate) struct Filter {
    pub(crate) partner: String,
    pub(crate) state: String,
    pub(crate) choices: Vec<Choice>,
    /// Beginning of the journal or a later page of it.
    pub(crate) first_page: bool,
}

impl Filter {
    fn is_narrow(&self) -> bool {
        !self.partner.is_empty() || !self.state.is_empty()
    }
}

/// A link that filters by state.
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) href: String,
    pub(crate) chosen: bool,
}

/// One row of the table.
pub(crate) struct Line {
    pub(crate) href: String,
    pub(crate) at: Moment,
    pub(crate) outbound: bool,
    pub(crate) who: Who,
    pub(crate) partner: String,
    pub(crate) size: String,
    pub(crate) chip: Chip,
    pub(crate) total: String,
}

/// Who writes to whom, or what else the row is.
pub(crate) enum Who {
    /// Sender, first recipient, how many more.
    Mail { sender: String, recipient: String, more: usize },
    /// Not a mail of a person.
    Other(&'static str),
}

impl OverviewPage {
    pub(crate) fn new(
        frame: Frame,
        overview: &Overview,
        recent: &RecentPage,
        filter: Filter,
        older: Option<String>,
    ) -> Self {
        Self {
            frame,
            did: visible(&overview.did),
            fingerprint: groups(&overview.fingerprint),
            version: visible(&overview.version),
            uptime: duration(overview.now_ms.saturating_sub(overview.started_at_ms)),
            numbers: numbers(overview),
            alarms: overview.alarms.iter().map(Cry::new).collect(),
            partners: overview
                .partners
                .iter()
                .map(|partner| Partner::new(partner, overview.now_ms))
                .collect(),
            filter,
            messages: recent.messages.iter().map(|message| Line::new(message, overview.now_ms)).collect(),
            older,
            now: Moment::of(overview.now_ms),
        }
    }
}

fn groups(fingerprint: &str) -> Vec<String> {
    fingerprint.split([' ', '-']).filter(|group| !group.is_empty()).map(visible).collect()
}

/// A message that has seen no progress for this long is worth a look.
const PROGRESS_MS_CALM: u64 = 60_000;

/// … and for this long it is worth a call.
const PROGRESS_MS_WARN: u64 = 900_000;

fn numbers(overview: &Overview) -> Vec<Number> {
    let totals = &overview.totals;
    let since = |what: &str| format!("{what} since start");
    let held = overview.in_state(State::Held);
    let oldest = overview.oldest_without_progress_ms;
    vec![
        Number {
            name: "Waiting",
            value: count(overview.waiting()),
            note: match oldest {
                Some(ms) => format!("oldest without progress {}", duration(ms)),
                None => "nothing waits".to_owned(),
            },
            tone: match oldest {
                None | Some(..PROGRESS_MS_CALM) => "calm",
                Some(..PROGRESS_MS_WARN) => "warn",
                Some(_) => "bad",
            },
        },
        Number {
            name: "Held",
            value: count(held),
            note: if held == 0 { "no decision needed".to_owned() } else { "a person must decide".to_owned() },
            tone: if held == 0 { "calm" } else { "warn" },
        },
        Number { name: "Accepted", value: count(totals.accepted), note: since("mails"), tone: "calm" },
        Number { name: "Sealed", value: count(totals.sealed), note: since("messages"), tone: "seal" },
        Number { name: "Delivered", value: count(totals.delivered), note: since("confirmed"), tone: "good" },
        Number {
            name: "Failed or refused",
            value: count(totals.failed.saturating_add(totals.refused)),
            note: format!("{} failed, {} refused", count(totals.failed), count(totals.refused)),
            tone: "calm",
        },
    ]
}

impl Partner {
    fn new(partner: &PartnerView, now_ms: u64) -> Self {
        let up = partner.link == LinkState::Up;
        let over =
            partner.transport.as_deref().map_or_else(String::new, |name| format!(" over {}", visible(name)));
        let since = partner.since_ms.map(|since| duration(now_ms.saturating_sub(since)));
        let link = match (up, since) {
            (true, Some(since)) => format!("Connected{over} for {since}"),
            (true, None) => format!("Connected{over}"),
            (false, Some(since)) => format!("Not connected for {since}"),
            (false, None) => "Not connected yet".to_owned(),
        };
        Self {
            domain: visible(&partner.domain),
            fingerprint: visible(&partner.fingerprint),
            up,
            trouble: match partner.standing {
                Standing::Pinned => None,
                Standing::Conflict => Some((
                    "Conflict",
                    "Two identities claim this domain. Mail waits until an administrator decides.",
                )),
                Standing::Lapsed => Some((
                    "Lapsed",
                    "Its records are out of date. Mail waits until newer ones are found or imported.",
                )),
                Standing::Frozen => Some((
                    "Frozen",
                    "Its operator key signed two histories. Mail waits until its recovery key settles which one counts.",
                )),
                Standing::Deactivated => Some((
                    "Ended",
                    "It has ended this identity for ever. Mail waits until another is pinned or the partner is removed.",
                )),
            },
            trust: match partner.trust {
                Trust::Manual => "Trusted by hand: an administrator introduced it",
                Trust::Dnssec => "Found by DNSSEC and HTTPS, which agreed",
                Trust::FirstUse => "Found by HTTPS on first use: compare the fingerprint by voice",
            },
            notice: partner.notice.as_deref().map(visible).unwrap_or_default(),
            link,
            address: partner.address.as_deref().map(visible).unwrap_or_default(),
            error: partner.last_error.as_deref().filter(|_| !up).map(visible).unwrap_or_default(),
        }
    }
}

impl Cry {
    fn new(alarm: &Alarm) -> Self {
        Self { about: visible(&alarm.about), words: visible(&alarm.words), at: Moment::of(alarm.at_ms) }
    }
}

impl Line {
    fn new(message: &MessageSummary, now_ms: u64) -> Self {
        Self {
            href: message_href(&message.queue_id),
            at: Moment::of(message.accepted_at_ms),
            outbound: message.direction == Direction::Outbound,
            who: Who::new(message.kind, &message.sender, &message.recipients),
            partner: visible(&message.partner_domain),
            size: size(message.size),
            chip: Chip::of(message.state, message.direction),
            total: match message.total_ms {
                Some(total) => duration(total),
                None => format!("{} so far", duration(now_ms.saturating_sub(message.accepted_at_ms))),
            },
        }
    }
}

impl Who {
    fn new(kind: Kind, sender: &str, recipients: &[String]) -> Self {
        match kind {
            Kind::Receipts => Self::Other("Signed receipts"),
            Kind::Unopened => Self::Other("Sealed, not opened yet"),
            Kind::Mail | Kind::Report => Self::Mail {
                sender: sender_word(sender),
                recipient: recipients.first().map_or_else(|| "nobody".to_owned(), |first| visible(first)),
                more: recipients.len().saturating_sub(1),
            },
        }
    }
}
