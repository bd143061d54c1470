//! The log of a running gateway: standard error, for people or for collectors. An event is one line, whatever strangers said in it.

use std::fmt::{self, Debug};
use std::io::IsTerminal;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::harmless::harmless;
use crate::config::{Log, LogFormat, LogLevel};

/// Our own crates; libraries say less, because their `info` is our `debug`.
const OURS: [&str; 9] =
    ["gateway", "dccp", "overlay", "policies", "smtp", "federation", "finding", "keystore", "admin_ui"];

/// Libraries that warn of what strangers do to them, with whole packets: our own words say it once.
const TALKATIVE: [&str; 3] = ["hickory_net", "hickory_proto", "hickory_resolver"];

/// Starts logging. A second call changes nothing.
pub(super) fn start(log: &Log) {
    let filter = EnvFilter::new(directives(log.level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already_started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.fmt_fields(fields()).with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// How the fields of an event are written. Servers and partners have words in them, which `tracing` would write as they are.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(field).delimited(" ")
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = harmless(&text, &[]);
    match field.name() {
        "message" => write!(writer, "{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

fn directives(level: LogLevel) -> String {
    let (ours, libraries) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "debug"),
    };
    let talkative = if level == LogLevel::Trace { libraries } else { "error" };
    let ours = OURS.iter().map(|name| format!(",{name}={ours}"));
    let talkative = TALKATIVE.iter().map(|name| format!(",{name}={talkative}"));
    libraries.to_owned() + &ours.chain(talkative).collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_stranger_says_stays_within_one_line_of_the_log_and_commands_no_terminal() {
        let paper = Paper::default();
        let writer = paper.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(lines.fmt_fields(fields()).finish(), || {
            let error = "go away\r\n2026-11-23T18:00:00Z  WARN smtp: AUTH failed address=192.0.2.1\n\x1b[2J";
            tracing::warn!(%error, partner = "globex.test", "a partner said goodbye");
            tracing::warn!("the next event");
        });
        let log = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(!log.contains(['\r', '\x1b']), "{log}");
        assert!(
            log.contains(r"goodbye error=go away\u{d}\u{a}2026") && log.contains(r#" partner="globex.test""#),
            "{log}"
        );
    }

    #[test]
    fn libraries_say_less_than_we_do() {
        assert_eq!(directives(LogLevel::Info).split(',').next(), Some("warn"));
        assert!(directives(LogLevel::Info).contains("gateway=info"));
        assert!(EnvFilter::try_new(directives(LogLevel::Trace)).is_ok());
    }
}
