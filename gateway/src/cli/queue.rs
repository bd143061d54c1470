//! `queue`: what waits in the running gateway, and what a person decides about it, through the control API.

use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use control::{
    AuditView, DestinationList, HoldRule, HoldRules, OrderOutcome, QueueAct, QueueOrder, QueuePage,
    QueueQuery, RuleRemoval,
};
use http::Method;
use serde::Serialize;

use super::trace::{trace, utc};
use super::{Failure, ask};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum QueueCommand {
    /// List what waits, oldest first.
    List(Which),
    /// Show one message: where each of its destinations stands, and every step so far.
    Show {
        /// Its queue id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Stop queued messages until they are released.
    Hold(Deed),
    /// Let held messages go on.
    Release(Deed),
    /// Make the next attempt now.
    Retry(Deed),
    /// Send what leaves by SMTP another way, or decide anew about what was held before it was sealed.
    Reroute {
        #[command(flatten)]
        deed: Deed,
        /// host:port of the next hop; without it, the way of its own domain.
        #[arg(long, value_name = "HOST:PORT")]
        to: Option<String>,
    },
    /// Give messages up now; their senders are told.
    Expire(Deed),
    /// Give messages up without telling anybody. Needs --why.
    Drop(Deed),
    /// Show where messages wait for, and why.
    Destinations,
    /// The standing rules: hold everything to or from somebody until it is released.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Show who did what to the queue.
    Audit {
        /// Fail (exit code 1) if an entry was changed or taken out.
        #[arg(long)]
        verify: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum RulesCommand {
    /// List the standing rules.
    List,
    /// Add a rule; what is named must all fit.
    Add {
        /// Its name.
        name: String,
        /// The sender: an address or a domain.
        #[arg(long, value_name = "WHO")]
        from: Option<String>,
        /// One of the recipients: an address or a domain.
        #[arg(long, value_name = "WHO")]
        to: Option<String>,
        /// At least so many bytes.
        #[arg(long, value_name = "BYTES")]
        larger: Option<u64>,
        #[command(flatten)]
        word: Word,
    },
    /// Take a rule back. What it holds stays held: `queue release --held-by NAME`.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        word: Word,
    },
}

/// Which messages; what is named must all fit.
#[derive(Args)]
pub(super) struct Which {
    /// A queue id, or the id of one row.
    id: Option<String>,
    /// `outbound` or `inbound`.
    #[arg(long, value_parser = of_word::<control::Direction>)]
    direction: Option<control::Direction>,
    /// mail, receipts, report, unopened, draft, relay or foreign.
    #[arg(long)]
    kind: Option<String>,
    /// The domain at the other end.
    #[arg(long, value_name = "DOMAIN")]
    destination: Option<String>,
    /// The sender: an address or a domain.
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// One of the recipients: an address or a domain.
    #[arg(long, value_name = "WHO")]
    to_whom: Option<String>,
    /// queued, sent or held.
    #[arg(long, value_parser = of_word::<control::State>)]
    state: Option<control::State>,
    /// Held by this person or standing rule.
    #[arg(long, value_name = "NAME")]
    held_by: Option<String>,
    /// Accepted at least so many minutes ago.
    #[arg(long, value_name = "MINUTES")]
    older: Option<u64>,
    /// At least so many bytes.
    #[arg(long, value_name = "BYTES")]
    larger: Option<u64>,
}

/// What is done, by whom and why.
#[derive(Args)]
pub(super) struct Deed {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    word: Word,
}

/// Who wants something, and why.
#[derive(Args)]
pub(super) struct Word {
    /// For the journal and the audit.
    #[arg(long, default_value = "")]
    why: String,
    /// Your name, if it is not the one you logged in with.
    #[arg(long)]
    by: Option<String>,
}

pub(super) fn queue(command: QueueCommand, path: &Path) -> Result<String, Failure> {
    let config = &Config::read(path)?;
    match command {
        QueueCommand::List(which) => list(config, which.query()),
        QueueCommand::Show { id } => {
            let rows = list(config, QueueQuery::of_id(&id))?;
            Ok(format!("{rows}\n{}", trace(path, &id)?))
        }
        QueueCommand::Hold(deed) => order(config, QueueAct::Hold, deed, None),
        QueueCommand::Release(deed) => order(config, QueueAct::Release, deed, None),
        QueueCommand::Retry(deed) => order(config, QueueAct::Retry, deed, None),
        QueueCommand::Reroute { deed, to } => order(config, QueueAct::Reroute, deed, to),
        QueueCommand::Expire(deed) => order(config, QueueAct::Expire, deed, None),
        QueueCommand::Drop(deed) => order(config, QueueAct::Drop, deed, None),
        QueueCommand::Destinations => {
            read(config, "queue/destinations").map(|places: DestinationList| destinations(&places))
        }
        QueueCommand::Rules(command) => rules(config, command),
        QueueCommand::Audit { verify } => audit(&read(config, "audit")?, verify),
    }
}

fn list(config: &Config, query: QueueQuery) -> Result<String, Failure> {
    let head = ["queue id", "way", "kind", "state", "destination", "from", "to", "next try", "last"];
    let mut lines = vec![head.map(str::to_owned)];
    let mut query = query;
    loop {
        let page: QueuePage = read(config, &format!("queue?{}", parameters(&query)?))?;
        lines.extend(page.rows.into_iter().map(|row| {
            let held = row.held_by.map(|by| format!(" by {by}")).unwrap_or_default();
            let more = row.recipients.len().saturating_sub(1);
            let to = row.recipients.first().cloned().unwrap_or_default();
            [
                row.queue_id,
                row.direction.to_string(),
                row.kind,
                format!("{}{held}", row.state),
                row.next_hop.map_or(row.destination.clone(), |hop| format!("{} via {hop}", row.destination)),
                if row.sender.is_empty() { "<>".to_owned() } else { row.sender },
                if more > 0 { format!("{to} +{more}") } else { to },
                row.next_attempt_at_ms.map(utc).unwrap_or_default(),
                row.last,
            ]
        }));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(table(&lines)),
        }
    }
}

fn order(config: &Config, act: QueueAct, deed: Deed, next_hop: Option<String>) -> Result<String, Failure> {
    let mut order =
        QueueOrder { act, which: deed.which.query(), by: deed.word.name(), why: deed.word.why, next_hop };
    let (mut done, mut declined) = (0, String::new());
    loop {
        let outcome: OrderOutcome = write(config, Method::POST, "queue/orders", &order)?;
        done += outcome.done;
        for row in outcome.declined {
            let _ = write!(declined, "\n{} ({}): {}", row.queue_id, row.destination, row.why);
        }
        match outcome.next {
            Some(next) => order.which.after = Some(next),
            None if declined.is_empty() => return Ok(format!("{act}: {done} done\n")),
            None => return Err(Failure::Said(format!("{act}: {done} done, not for these:{declined}"))),
        }
    }
}

fn rules(config: &Config, command: RulesCommand) -> Result<String, Failure> {
    let now: HoldRules = match command {
        RulesCommand::List => read(config, "queue/rules")?,
        RulesCommand::Add { name, from, to, larger, word } => {
            let by = word.name();
            let rule =
                HoldRule { name, sender: from, recipient: to, larger_than_bytes: larger, by, why: word.why };
            write(config, Method::POST, "queue/rules", &rule)?
        }
        RulesCommand::Remove { name, word } => {
            let removal = RuleRemoval { by: word.name(), why: word.why };
            write(config, Method::DELETE, &format!("queue/rules/{}", ask::encoded(&name)), &removal)?
        }
    };
    let mut lines = vec![["rule", "from", "to", "larger than", "by", "why"].map(str::to_owned)];
    lines.extend(now.rules.into_iter().map(|rule| {
        let larger = rule.larger_than_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        [
            rule.name,
            rule.sender.unwrap_or_default(),
            rule.recipient.unwrap_or_default(),
            larger,
            rule.by,
            rule.why,
        ]
    }));
    Ok(table(&lines))
}

fn destinations(places: &DestinationList) -> String {
    let head = ["destination", "kind", "state", "queued", "sent", "held", "oldest", "next try", "why"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(places.destinations.iter().map(|place| {
        let why = match (&place.error, &place.error_from) {
            (Some(error), Some(from)) => format!("{error} ({from})"),
            _ => String::new(),
        };
        [
            if place.name.is_empty() { "our mail server".to_owned() } else { place.name.clone() },
            place.kind.clone(),
            place.state.clone(),
            place.queued.to_string(),
            place.sent.to_string(),
            place.held.to_string(),
            place.oldest_at_ms.map(utc).unwrap_or_default(),
            place.until_ms.map(utc).unwrap_or_default(),
            why,
        ]
    }));
    table(&lines)
}

fn audit(found: &AuditView, verify: bool) -> Result<String, Failure> {
    let mut lines = vec![["#", "time (UTC)", "by", "act", "subject", "why"].map(str::to_owned)];
    lines.extend(found.entries.iter().map(|entry| {
        let [by, act, subject, why] = [&entry.by, &entry.act, &entry.subject, &entry.why].map(Clone::clone);
        [entry.seq.to_string(), utc(entry.at_ms), by, act, subject, why]
    }));
    let verdict = match &found.fault {
        None => format!("{} entries, unbroken; the newest hash is {}\n", found.count, found.head),
        Some(fault) if verify => return Err(Failure::Said(format!("the audit was tampered with: {fault}"))),
        Some(fault) => format!("THE AUDIT WAS TAMPERED WITH: {fault}\n"),
    };
    Ok(if verify { verdict } else { format!("{}\n{verdict}", table(&lines)) })
}

impl Which {
    fn query(self) -> QueueQuery {
        QueueQuery {
            id: self.id,
            direction: self.direction,
            kind: self.kind,
            destination: self.destination,
            sender: self.from,
            recipient: self.to_whom,
            state: self.state,
            held_by: self.held_by,
            older_than_s: self.older.map(|minutes| minutes.saturating_mul(60)),
            larger_than_bytes: self.larger,
            after: None,
            limit: None,
        }
    }
}

impl Word {
    fn name(&self) -> String {
        login(self.by.as_deref())
    }
}

/// The name given, or the one of the login; `sudo` remembers who called it.
pub(super) fn login(given: Option<&str>) -> String {
    let login = || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    given.map(str::to_owned).or_else(login).unwrap_or_else(|| "the command line".to_owned())
}

/// A word as the JSON of the control API spells it.
fn of_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|error| error.to_string())
}

/// A query as parameters of a path.
pub(super) fn parameters(query: &impl Serialize) -> Result<String, Failure> {
    let fields = serde_json::to_value(query).map_err(Failure::said)?;
    let pairs = fields.as_object().into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", ask::encoded(&text))
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

pub(super) fn read<T: serde::de::DeserializeOwned>(config: &Config, path: &str) -> Result<T, Failure> {
    ask::call(config, Method::GET, path, Bytes::new())
}

pub(super) fn write<T: serde::de::DeserializeOwned>(
    config: &Config,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Failure> {
    let body = serde_json::to_vec(body).map_err(Failure::said)?;
    ask::call(config, method, path, body.into())
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let shown = |line: &[String; N]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(shown).collect()
}
