//! `archive …`: the key of the archive, what rests in it, legal holds, and the way out for those who hold the key.

mod export;
mod folder;
mod key;
mod manifest;

use std::path::Path;

use clap::{Args, Subcommand};
use control::{ArchivePage, ArchiveQuery, ArchiveView, HoldLift, LegalHold, day_begins, day_ends};
use dccp::UnixMillis;
use http::Method;

use super::queue::{login, parameters, read, table, write};
use super::trace::utc;
use super::{Failure, ask};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum ArchiveCommand {
    /// The key that opens the archive: make it on an offline machine, try it.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Show what rests, by which rules and under which holds, and which copies there are.
    List(Which),
    /// Show what the gateway can tell of one copy.
    Show {
        /// The id of a copy, or the queue id of its mail.
        id: String,
    },
    /// Legal holds: keep everything of somebody until the hold is lifted.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Take copies out, opened with the officers' key, or sealed for `archive open` on another machine. Needs a reason.
    Export(export::ExportArgs),
    /// Open what was exported sealed, on a machine that has nothing but the key.
    Open(export::OpenArgs),
}

#[derive(Subcommand)]
pub(super) enum HoldCommand {
    /// Keep past copies, and archive future mail.
    Add {
        /// Its name, which rests in clear.
        #[arg(long)]
        name: String,
        /// Whom it is about: an address or a domain. May be repeated; nobody: everybody.
        #[arg(long, value_name = "WHO")]
        address: Vec<String>,
        #[command(flatten)]
        time: Days,
        #[command(flatten)]
        order: Order,
    },
    /// List the holds that stand.
    List,
    /// End a hold: from then on retention takes its course.
    Lift {
        /// Its name.
        name: String,
        #[command(flatten)]
        order: Order,
    },
}

/// Which copies; what is named must all fit.
#[derive(Args)]
pub(super) struct Which {
    /// Somebody in the envelope: an address or a domain.
    #[arg(long, value_name = "WHO")]
    address: Option<String>,
    /// A Message-ID.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    #[command(flatten)]
    time: Days,
}

/// A span of whole days in UTC.
#[derive(Args)]
pub(super) struct Days {
    /// The first day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY", value_parser = begins)]
    from: Option<u64>,
    /// The last day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY", value_parser = ends)]
    to: Option<u64>,
}

/// Who wants something, and why: for the audit.
#[derive(Args)]
pub(super) struct Order {
    /// Why.
    #[arg(long)]
    reason: String,
    /// Your name, if it is not the one you logged in with.
    #[arg(long)]
    by: Option<String>,
}

pub(super) fn archive(command: ArchiveCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    match command {
        ArchiveCommand::Key(command) => key::key(&command),
        ArchiveCommand::List(which) => list(&Config::read(path)?, which),
        ArchiveCommand::Show { id } => show(&Config::read(path)?, id),
        ArchiveCommand::Hold(command) => hold(&Config::read(path)?, command),
        ArchiveCommand::Export(args) => export::export(args, path, now),
        ArchiveCommand::Open(args) => export::open(&args),
    }
}

fn list(config: &Config, which: Which) -> Result<String, Failure> {
    let view: ArchiveView = read(config, "archive")?;
    let mut query = ArchiveQuery {
        address: which.address,
        message_id: which.message_id,
        from_ms: which.time.from,
        until_ms: which.time.to,
        ..ArchiveQuery::default()
    };
    let head = ["copy", "queue id", "way", "time (UTC)", "rule", "kept until", "bytes", "holds"];
    let mut lines = vec![head.map(str::to_owned)];
    loop {
        let page: ArchivePage = read(config, &format!("archive/copies?{}", parameters(&query)?))?;
        lines.extend(page.copies.into_iter().map(|copy| {
            [
                copy.id,
                copy.queue_id,
                copy.direction,
                utc(copy.at_ms),
                copy.rule,
                utc(copy.keep_until_ms),
                copy.bytes.to_string(),
                copy.holds.join(", "),
            ]
        }));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(format!("{}\n{}", glance(&view), table(&lines))),
        }
    }
}

/// The archive in a few lines.
fn glance(view: &ArchiveView) -> String {
    let room = view.bytes_max.map(|max| format!(" of {max}")).unwrap_or_default();
    let key = view.key.as_deref().unwrap_or("none: nothing is archived");
    let rules = view.rules.iter().map(|rule| format!("Rule   {}: {} days\n", rule.name, rule.days));
    let holds = view.holds.iter().map(|hold| format!("Hold   {}: {} copies\n", hold.hold.name, hold.copies));
    let all: String = rules.chain(holds).collect();
    format!("Copies {}, {}{room} bytes\nKey    {key}\n{all}", view.copies, view.bytes)
}

fn show(config: &Config, id: String) -> Result<String, Failure> {
    let query = ArchiveQuery { id: Some(id.clone()), ..ArchiveQuery::default() };
    let page: ArchivePage = read(config, &format!("archive/copies?{}", parameters(&query)?))?;
    let Some(copy) = page.copies.into_iter().next() else {
        return Err(Failure::Said(format!("there is no copy {id}; was its time over?")));
    };
    let holds = if copy.holds.is_empty() { "none".to_owned() } else { copy.holds.join(", ") };
    Ok(format!(
        "Copy        {}\nQueue id    {}\nWay         {}\nTime (UTC)  {}\nRule        {}\nKept until  {}\nHolds       {holds}\nKey         {}\nBytes       {}\n\
         \nWho and what is sealed: `archive export` with the officers' key.\n",
        copy.id,
        copy.queue_id,
        copy.direction,
        utc(copy.at_ms),
        copy.rule,
        utc(copy.keep_until_ms),
        copy.key,
        copy.bytes,
    ))
}

fn hold(config: &Config, command: HoldCommand) -> Result<String, Failure> {
    let now: ArchiveView = match command {
        HoldCommand::List => read(config, "archive")?,
        HoldCommand::Add { name, address, time, order } => {
            let by = login(order.by.as_deref());
            let hold = LegalHold {
                name,
                addresses: address,
                from_ms: time.from,
                until_ms: time.to,
                by,
                why: order.reason,
            };
            write(config, Method::POST, "archive/holds", &hold)?
        }
        HoldCommand::Lift { name, order } => {
            let lift = HoldLift { by: login(order.by.as_deref()), why: order.reason };
            write(config, Method::DELETE, &format!("archive/holds/{}", ask::encoded(&name)), &lift)?
        }
    };
    let mut lines =
        vec![["hold", "whom", "from", "until", "copies", "bytes", "by", "why"].map(str::to_owned)];
    lines.extend(now.holds.into_iter().map(|view| {
        let hold = view.hold;
        let whom = if hold.addresses.is_empty() { "everybody".to_owned() } else { hold.addresses.join(", ") };
        let [from, until] = [hold.from_ms, hold.until_ms].map(|at| at.map(utc).unwrap_or_default());
        [hold.name, whom, from, until, view.copies.to_string(), view.bytes.to_string(), hold.by, hold.why]
    }));
    Ok(table(&lines))
}

fn begins(text: &str) -> Result<u64, String> {
    day_begins(text).ok_or_else(|| NOT_A_DAY.to_owned())
}

fn ends(text: &str) -> Result<u64, String> {
    day_ends(text).ok_or_else(|| NOT_A_DAY.to_owned())
}

const NOT_A_DAY: &str = "a day is written YYYY-MM-DD";
