//! What the templates show: the control API's answers in finished words. One file per page.

pub(crate) mod archive;
mod message;
mod overview;
pub(crate) mod queue;

use askama::Template;
use control::{Direction, Readiness, State};

use crate::words::visible;

pub(crate) use message::{MessagePage, Trace};
pub(crate) use overview::{Choice, Filter, OverviewPage};

/// What stands on every page.
#[derive(Clone)]
pub(crate) struct Frame {
    /// The organisation, when the gateway told.
    pub(crate) domain: String,
    pub(crate) ready: bool,
    /// What is missing, in words; empty when ready.
    pub(crate) missing: Vec<String>,
    /// What stands in the search box.
    pub(crate) sought: String,
}

impl Frame {
    pub(crate) fn new(domain: &str, readiness: &Readiness, sought: &str) -> Self {
        Self {
            domain: visible(domain),
            ready: readiness.ready,
            missing: readiness.missing().map(|what| visible(&what)).collect(),
            sought: visible(sought),
        }
    }
}

/// Anything that is not a page.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

/// The path of a message's page. Everything but RFC 3986 unreserved characters is escaped.
pub(crate) fn message_href(id: &str) -> String {
    format!("/messages/{}", escaped(id))
}

/// Percent-encodes a path segment or a query value (RFC 3986 §2.3).
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet))
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

/// A state as a chip.
pub(crate) struct Chip {
    pub(crate) word: &'static str,
    pub(crate) title: &'static str,
}

impl Chip {
    fn of(state: State, direction: Direction) -> Self {
        let title = match (state, direction) {
            (State::Queued, _) => "Kept durably, waiting for its next attempt",
            (State::Sent, _) => "The partner's gateway keeps it durably; its signed receipt is awaited",
            (State::Held, _) => "Stopped by a rule until a person decides",
            (State::Delivered, Direction::Outbound) => "The partner's signed receipt confirms the delivery",
            (State::Delivered, Direction::Inbound) => "The internal mail server took it",
            (State::Failed, _) => "Given up for good",
            (State::Expired, _) => "Its time ran out",
        };
        Self { word: state.as_str(), title }
    }
}

/// RFC 5321 §4.5.5: the null reverse-path marks notifications.
fn sender_word(sender: &str) -> String {
    if sender.is_empty() { "<> (notification)".to_owned() } else { visible(sender) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_path_segment() {
        assert_eq!(message_href("<a/../b?c#d@x y>"), "/messages/%3Ca%2F..%2Fb%3Fc%23d%40x%20y%3E");
    }
}
