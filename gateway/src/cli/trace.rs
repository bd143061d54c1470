//! `trace`: one message's way, asked of the running gateway through its control API.

use std::fmt::Write;
use std::path::Path;

use control::{MessageTrace, Traces};

use super::{Failure, ask};
use crate::config::Config;

pub(super) fn trace(path: &Path, id: &str) -> Result<String, Failure> {
    let config = Config::read(path)?;
    ask::get(&config, "messages", id).map(|traces| pages(&traces))
}

fn pages(traces: &Traces) -> String {
    traces.messages.iter().map(page).collect::<Vec<_>>().join("\n")
}

/// One message to one destination: who and what, then a table of its stages.
fn page(trace: &MessageTrace) -> String {
    let partner = if trace.partner_domain.is_empty() { "our own people" } else { &trace.partner_domain };
    let took = trace.total_ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
    let mut page =
        format!("{}  {} {}, {partner}: {}{took}\n", trace.queue_id, trace.direction, trace.kind, trace.state);
    let sender = if trace.sender.is_empty() { "<>" } else { &trace.sender };
    let _ = writeln!(page, "  from        {sender}\n  to          {}", trace.recipients.join(", "));
    for (name, id) in [("message-id", &trace.internet_message_id), ("dccp id", &trace.message_id)] {
        if let Some(id) = id {
            let _ = writeln!(page, "  {name:<10}  {id}");
        }
    }
    let _ = writeln!(page, "  size        {} bytes", trace.size);
    for (name, at) in [("next try", trace.next_attempt_at_ms), ("gives up", trace.expires_at_ms)] {
        if let Some(at) = at {
            let _ = writeln!(page, "  {name:<10}  {}", utc(at));
        }
    }
    page.push('\n');
    page.push_str(&table(trace));
    page
}

fn table(trace: &MessageTrace) -> String {
    let rows = trace.stages.iter().map(|stage| {
        let reason = [Some(stage.reason.as_str()), stage.detail.as_deref()];
        let reason: Vec<_> = reason.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        [utc(stage.at_ms), stage.elapsed_ms.to_string(), stage.stage.clone(), reason.join(" — ")]
    });
    let head = ["time (UTC)", "+ms", "stage", "reason"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let [time, ms, stage] = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    let line = |[at, elapsed, name, reason]: &[String; 4]| {
        let line = format!("  {at:<time$}  {elapsed:>ms$}  {name:<stage$}  {reason}");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23 05:10:29.000`.
pub(super) fn utc(ms: u64) -> String {
    let (year, month, day) = civil(ms / 86_400_000);
    let (h, m, s, rest) = (ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{rest:03}")
}

/// The proleptic Gregorian date of a day since 1970-01-01, by counting years that begin in March: the leap day then
/// ends its year, and months have the lengths of one repeating pattern.
pub(super) fn civil(days_since_1970: u64) -> (i32, u8, u8) {
    /// 0000-03-01 to 1970-01-01.
    const DAYS_BEFORE_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_BEFORE_1970;
    let (cycle, day_of_cycle) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    let year = cycle * 400 + year_of_cycle + next_year;
    (
        i32::try_from(year).unwrap_or(i32::MAX),
        u8::try_from(month).unwrap_or(1),
        u8::try_from(day).unwrap_or(1),
    )
}

#[cfg(test)]
mod tests {
    use control::{Direction, Kind, StageView, State};

    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00.000");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(utc(1_795_410_629_123), "2026-11-23 05:10:29.123");
        assert_eq!(utc(4_107_542_399_999), "2100-02-28 23:59:59.999");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00.000");
    }

    #[test]
    fn a_trace_is_a_table_that_lines_up() {
        let stage = |at_ms, stage: &str, reason: &str, elapsed_ms, detail: Option<&str>| StageView {
            at_ms,
            stage: stage.into(),
            reason: reason.into(),
            detail: detail.map(str::to_owned),
            elapsed_ms,
        };
        let trace = MessageTrace {
            queue_id: "4f2a".into(),
            message_id: None,
            internet_message_id: Some("1@acme.test".into()),
            kind: Kind::Mail,
            direction: Direction::Outbound,
            state: State::Delivered,
            partner_domain: "globex.test".into(),
            sender: "alice@acme.test".into(),
            recipients: vec!["bob@globex.test".into(), "carol@globex.test".into()],
            size: 1234,
            accepted_at_ms: 0,
            total_ms: Some(1210),
            next_attempt_at_ms: None,
            expires_at_ms: None,
            stages: vec![
                stage(0, "accepted", "", 0, None),
                stage(1200, "sent", "acknowledged", 1200, None),
                stage(1210, "delivered", "signed receipt", 10, Some("bob@globex.test: 2.1.5")),
            ],
        };
        let expected = "\
4f2a  outbound mail, globex.test: delivered after 1210 ms
  from        alice@acme.test
  to          bob@globex.test, carol@globex.test
  message-id  1@acme.test
  size        1234 bytes

  time (UTC)                +ms  stage      reason
  1970-01-01 00:00:00.000     0  accepted
  1970-01-01 00:00:01.200  1200  sent       acknowledged
  1970-01-01 00:00:01.210    10  delivered  signed receipt — bob@globex.test: 2.1.5
";
        assert_eq!(pages(&Traces { messages: vec![trace] }), expected);
    }
}
