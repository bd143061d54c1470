//! `trace`: one message's way, asked of the running gateway through its control API.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use control::{MessageTrace, Traces};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Failure, block_on};
use crate::config::Config;
use keystore::keyfile;

/// The gateway answers from its own database; longer means that it hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A trace has a few dozen stages.
const ANSWER_BYTES_MAX: usize = 4 << 20;

pub(super) fn trace(path: &Path, id: &str) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let token = keyfile::read_token(&config.control.token).map_err(Failure::said)?;
    let listen = config.control.listen;
    let (status, body) = block_on(async {
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, ask(listen, &token, id)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))).map_err(
            |error| {
                Failure::Said(format!(
                    "the gateway at {listen} cannot be asked: {error}. Is it running? (`control.listen`)"
                ))
            },
        )
    })?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map(|traces| pages(&traces)).map_err(|error| {
            Failure::Said(format!(
                "the answer of {listen} is not a trace ({error}); is it this version's gateway?"
            ))
        }),
        StatusCode::UNAUTHORIZED => Err(Failure::Said(format!(
            "the gateway at {listen} does not know the token in {}; was it replaced after the gateway started?",
            config.control.token.display()
        ))),
        other => Err(Failure::Said(detail(&body).unwrap_or_else(|| format!("{listen} answered {other}")))),
    }
}

async fn ask(listen: std::net::SocketAddr, token: &str, id: &str) -> Result<(StatusCode, Bytes), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(listen).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let request = Request::get(format!("/api/v1/messages/{}", encoded(id)))
        .header(header::HOST, listen.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| said(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| said(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| said(&error))?.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            // The gateway closes after its answer; the answer may still be on its way to us.
            Ok(()) => answer.await,
            Err(error) => Err(said(&error)),
        },
    }
}

/// RFC 3986 §2.1: everything but unreserved characters, so that a Message-ID is one path segment.
fn encoded(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

/// The sentence of a problem document (RFC 9457).
fn detail(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(problem["detail"].as_str()?.to_owned())
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
fn utc(ms: u64) -> String {
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
    fn a_message_id_becomes_one_path_segment() {
        assert_eq!(encoded("<a/b@acme.test>"), "%3Ca%2Fb%40acme.test%3E");
        assert_eq!(encoded("01J-x_y.z~"), "01J-x_y.z~");
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
