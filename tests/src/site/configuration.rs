//! What stands in a site's configuration when it differs from what `init` wrote, and what belongs to it outside.

use std::fs;
use std::net::SocketAddr;

use super::{Site, loopback, said};
use crate::peers::{Zone, free_port};

impl Site {
    /// Sets a key of the configuration file that stands there, with its default, in a comment or in force. A key that
    /// several sections have is named with its own: `outside.port`.
    pub fn set(&self, key: &str, value: &str) {
        let path = self.config();
        let config = fs::read_to_string(&path).expect("the configuration");
        let (wanted, name) = key.split_once('.').map_or((None, key), |(section, name)| (Some(section), name));
        let mut section = "";
        let mut found = 0;
        let lines = config.lines().map(|line| {
            if !line.starts_with([' ', '#']) {
                section = line.split(':').next().unwrap_or_default();
            }
            let bare = line.trim_start().trim_start_matches("# ");
            let indent = &line[..line.len() - line.trim_start().len()];
            if !bare.starts_with(&format!("{name}: ")) || wanted.is_some_and(|wanted| wanted != section) {
                return line.to_owned();
            }
            found += 1;
            format!("{indent}{name}: {value}")
        });
        let config: Vec<String> = lines.collect();
        assert_eq!(found, 1, "{key} stands once in the configuration:\n{}", config.join("\n"));
        fs::write(path, config.join("\n") + "\n").expect("the configuration is writable");
    }

    /// Writes lines, with their indentation, directly below a heading of the configuration file such as `smtp:`.
    pub fn write_below(&self, heading: &str, lines: &str) {
        let config = fs::read_to_string(self.config()).expect("the configuration");
        let (before, after) = config.split_once(&format!("\n{heading}\n")).expect("the heading");
        fs::write(self.config(), format!("{before}\n{heading}\n{lines}\n{after}")).expect("it is writable");
    }

    /// Takes the certificate of the doors for mail from the authority that `acme` describes, instead of from files.
    pub fn use_authority(&self, acme: &str) {
        self.set("acme", acme);
        let config = fs::read_to_string(self.config()).expect("the configuration");
        let is_file = |line: &&str| {
            *line == "  tls:" || line.ends_with(": tls/smtp.crt") || line.ends_with(": tls/smtp.key")
        };
        let rest: Vec<&str> = config.lines().filter(|line| !is_file(line)).collect();
        fs::write(self.config(), rest.join("\n") + "\n").expect("the configuration is writable");
    }

    /// Opens a door for people, and gives them names: each a user with the password `pw-of-` and the name, and the address of
    /// that name. Two ports: with STARTTLS, and with TLS from the first octet.
    pub fn open_submission(&self, people: &[&str]) -> [u16; 2] {
        let ports = [free_port(), free_port()];
        let [starttls, implicit] = ports;
        self.write_below(
            "smtp:",
            &format!("  submission:\n    listen: [\"127.0.0.1:{starttls}\"]\n    listen_tls: [\"127.0.0.1:{implicit}\"]"),
        );
        self.write_below("users:", "  file: users.yaml");
        for name in people {
            let address = format!("{name}@{}", self.domain);
            let words = ["user", "add", name, "--address", &address];
            let done = self.command_with(&words, &format!("pw-of-{name}\n"));
            assert!(done.status.success(), "user add failed: {}", said(&done));
        }
        ports
    }

    /// Opens a door for the outside world, which asks `dns`.
    pub fn open_mx(&self, dns: SocketAddr) -> SocketAddr {
        let at = loopback(free_port());
        self.write_below("smtp:", &format!("  mx:\n    listen: [\"{at}\"]"));
        self.set("dns_servers", &format!("[\"{dns}\"]"));
        at
    }

    /// Makes keys for the signatures on its mail, and gives its zone with them.
    pub fn zone_with_signing_keys(&self) -> Zone {
        self.done(&["dkim", "create", self.domain]);
        let records = self.done(&["dkim", "dns", self.domain]).replace("\n    ", " ");
        let records = records.lines().filter_map(|line| line.split_once(" IN TXT "));
        records.fold(Zone::signed(self.domain), |zone, (name, text)| {
            zone.record(&format!("{}.", name.trim_end_matches('.')), "TXT", text)
        })
    }
}
