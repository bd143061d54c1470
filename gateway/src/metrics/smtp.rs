//! What the SMTP listener reports, counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use smtp::server::{Event, Offence, Refused};

/// Sessions open now, and everything else by its name.
#[derive(Clone)]
pub(super) struct SmtpCounts {
    sessions: Gauge,
    events: Family<EventLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    event: &'static str,
}

impl SmtpCounts {
    pub(super) fn new(root: &mut Registry) -> Self {
        let counts = Self { sessions: Gauge::default(), events: Family::default() };
        root.register("smtp_sessions", "SMTP sessions open now", counts.sessions.clone());
        root.register("smtp_events", "What the SMTP listener met", counts.events.clone());
        counts
    }

    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::SessionOpened { .. } => _ = self.sessions.inc(),
            Event::SessionClosed(_) => _ = self.sessions.dec(),
            _ => {}
        }
        self.events.get_or_create(&EventLabel { event: word(event) }).inc();
    }
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::SessionOpened { .. } => "session_opened",
        Event::SessionRefused(refused) => refusal(*refused),
        Event::SessionClosed(_) => "session_closed",
        Event::TlsStarted(_) => "tls_started",
        Event::TlsFailed(_) => "tls_failed",
        Event::CommandRefused { .. } => "command_refused",
        Event::BareLineEnd { .. } => "bare_line_end",
        Event::LineEndsMended { .. } => "line_ends_mended",
        Event::Authenticated { .. } => "authenticated",
        Event::AuthenticationFailed { .. } => "authentication_failed",
        Event::SourceBanned(Offence::Error) => "source_banned_for_errors",
        Event::SourceBanned(Offence::Refusal) => "source_banned_for_refused_mail",
        Event::SourceBanned(Offence::WrongPassword) => "source_banned_for_wrong_passwords",
        Event::MessageTooLarge => "message_too_large",
        Event::MemoryExhausted => "memory_exhausted",
    }
}

fn refusal(refused: Refused) -> &'static str {
    match refused {
        Refused::Full => "session_refused_full",
        Refused::SourceFull => "session_refused_source_full",
        Refused::TooOften => "session_refused_too_often",
        Refused::Banned => "session_refused_banned",
        Refused::MemoryShort => "session_refused_memory_short",
        Refused::NoHeader => "session_refused_no_header",
    }
}
