//! The policy file `https://mta-sts.<domain>/.well-known/mta-sts.txt` (RFC 8461 §3.2).

/// Where the file is (RFC 8461 §3.3).
pub const POLICY_PATH: &str = "/.well-known/mta-sts.txt";

/// The file in octets (RFC 8461 §3.3 suggests 64 KB).
pub const POLICY_BYTES_MAX: usize = 64 * 1024;

/// Host patterns in one file. Honest ones have a handful; every mail compares its hosts with all of them.
const HOSTS_MAX: usize = 256;

/// "max_age … maximum value of 31557600" seconds, about a year (RFC 8461 §3.2).
const MAX_AGE_S_MAX: u64 = 31_557_600;

/// What a domain says of its mail servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How serious it is.
    pub mode: Mode,
    /// Names of hosts, in lower case; `*.` in front stands for exactly one label.
    pub hosts: Vec<String>,
    /// How long it holds after it was fetched, in seconds.
    pub max_age_s: u64,
}

/// How serious a policy is (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hosts that fail it get no mail.
    Enforce,
    /// Failures are reported, and the mail goes on.
    Testing,
    /// As if there were none.
    None,
}

/// Why a file is no policy. All of it is the fault of the domain's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Not UTF-8, or a line that is not `key: value`.
    #[error("the MTA-STS policy is not a list of lines `key: value`")]
    Grammar,
    /// Not `STSv1`, or none.
    #[error("the MTA-STS policy has another version than STSv1")]
    Version,
    /// None of the three modes.
    #[error("the MTA-STS policy has no proper mode")]
    Mode,
    /// Not a number of seconds up to about a year.
    #[error("the MTA-STS policy has no proper max_age")]
    MaxAge,
    /// A pattern that no host can match, none where there must be one, or too many.
    #[error("the MTA-STS policy names no proper hosts")]
    Hosts,
}

impl Policy {
    /// Reads the file. Of a key that comes twice, except `mx`, the first counts; unknown keys are for later versions.
    ///
    /// # Errors
    /// [`BadPolicy`].
    pub fn parse(octets: &[u8]) -> Result<Self, BadPolicy> {
        let text = str::from_utf8(octets).map_err(|_| BadPolicy::Grammar)?;
        let (mut version, mut mode, mut max_age, mut hosts) = (None, None, None, Vec::new());
        // RFC 8461 §3.2: lines end in LF or CRLF.
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once(':').ok_or(BadPolicy::Grammar)?;
            let value = value.trim();
            match key {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => max_age = max_age.or(Some(value)),
                "mx" if hosts.len() == HOSTS_MAX => return Err(BadPolicy::Hosts),
                "mx" => hosts.push(pattern(value)?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(BadPolicy::Version);
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(BadPolicy::Mode),
        };
        if hosts.is_empty() && mode != Mode::None {
            return Err(BadPolicy::Hosts);
        }
        let max_age_s = max_age.and_then(seconds).ok_or(BadPolicy::MaxAge)?;
        Ok(Self { mode, hosts, max_age_s })
    }

    /// Whether it names `host` (RFC 8461 §4.1).
    pub fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            // Exactly one label in the place of the star.
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => pattern == host,
        })
    }

    /// Its lines, as reports quote them (RFC 8460 §4.4).
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let head = ["version: STSv1".to_owned(), format!("mode: {mode}")];
        let hosts = self.hosts.iter().map(|host| format!("mx: {host}"));
        head.into_iter().chain(hosts).chain([format!("max_age: {}", self.max_age_s)]).collect()
    }
}

/// `1*10(DIGIT)`, within bounds.
fn seconds(digits: &str) -> Option<u64> {
    let plain = (1..=10).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    digits.parse().ok().filter(|seconds| plain && *seconds <= MAX_AGE_S_MAX)
}

/// `["*."] domain` in lower case.
fn pattern(value: &str) -> Result<String, BadPolicy> {
    let pattern = value.to_ascii_lowercase();
    let name = pattern.strip_prefix("*.").unwrap_or(&pattern);
    // An address literal is a domain of mail addresses, not the name of a host.
    let is_name = name.is_ascii() && !name.starts_with('[') && crate::address::is_domain(name);
    if is_name { Ok(pattern) } else { Err(BadPolicy::Hosts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.NET\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";

    #[test]
    fn the_file_of_the_standard_is_read_with_either_line_end() {
        for file in [FILE.to_owned(), FILE.replace("\r\n", "\n"), FILE.trim_end().to_owned()] {
            let policy = Policy::parse(file.as_bytes()).unwrap();
            assert_eq!((policy.mode, policy.max_age_s), (Mode::Enforce, 604_800));
            assert_eq!(policy.hosts, ["mail.example.com", "*.example.net", "backupmx.example.com"]);
        }
        assert_eq!(
            Policy::parse(FILE.as_bytes()).unwrap().lines().join("\r\n") + "\r\n",
            FILE.to_lowercase().replace("stsv1", "STSv1")
        );
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let policy = Policy::parse(FILE.as_bytes()).unwrap();
        for named in ["mail.example.com", "mx1.example.net", "backupmx.example.com"] {
            assert!(policy.names(named), "{named}");
        }
        for other in
            ["example.net", "a.b.example.net", ".example.net", "xmail.example.com", "example.com", ""]
        {
            assert!(!policy.names(other), "{other}");
        }
    }

    #[test]
    fn unknown_keys_pass_and_of_a_repeated_one_the_first_counts() {
        let file =
            "version: STSv1\nmode: testing\nmode: none\nlater: x\nmx: a.test\nmax_age: 1\nmax_age: 2\n";
        let policy = Policy::parse(file.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age_s), (Mode::Testing, 1));
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 86400\n").unwrap();
        assert_eq!((none.mode, none.hosts), (Mode::None, Vec::<String>::new()));
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_reason() {
        let many =
            format!("version: STSv1\nmode: enforce\nmax_age: 1\n{}", "mx: a.test\n".repeat(HOSTS_MAX + 1));
        for (file, why) in [
            ("<html>", BadPolicy::Grammar),
            ("", BadPolicy::Version),
            ("version: STSv2\nmode: none\nmax_age: 1\n", BadPolicy::Version),
            ("version: STSv1\nmode: strict\nmx: a.test\nmax_age: 1\n", BadPolicy::Mode),
            ("version: STSv1\nmx: a.test\nmax_age: 1\n", BadPolicy::Mode),
            ("version: STSv1\nmode: enforce\nmax_age: 1\n", BadPolicy::Hosts),
            ("version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", BadPolicy::Hosts),
            ("version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n", BadPolicy::Hosts),
            ("version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 1\n", BadPolicy::Hosts),
            ("version: STSv1\nmode: enforce\nmx: a.test\n", BadPolicy::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", BadPolicy::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 31557601\n", BadPolicy::MaxAge),
            (&many, BadPolicy::Hosts),
        ] {
            assert_eq!(Policy::parse(file.as_bytes()), Err(why), "{file:.60}");
        }
        assert_eq!(Policy::parse(&[0xff]), Err(BadPolicy::Grammar));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Policy::parse(&octets);
        }

        #[test]
        fn what_was_read_reads_again_from_its_lines(mode in 0..3_u8, age in 0..=MAX_AGE_S_MAX) {
            let mode = [Mode::Enforce, Mode::Testing, Mode::None][usize::from(mode)];
            let policy = Policy { mode, hosts: vec!["*.a.test".into(), "b.test".into()], max_age_s: age };
            prop_assert_eq!(Policy::parse(policy.lines().join("\n").as_bytes()), Ok(policy));
        }
    }
}
