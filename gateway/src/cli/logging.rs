//! The log of a running gateway: standard error, for people or for collectors.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
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
    use super::*;

    #[test]
    fn libraries_say_less_than_we_do() {
        assert_eq!(directives(LogLevel::Info).split(',').next(), Some("warn"));
        assert!(directives(LogLevel::Info).contains("gateway=info"));
        assert!(EnvFilter::try_new(directives(LogLevel::Trace)).is_ok());
    }
}
