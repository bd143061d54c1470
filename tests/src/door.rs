//! Acme with a door for its people, who log in, and a partner with their correspondents' mailboxes.
//!
//! ```text
//! alice: a mail program ─STARTTLS or TLS, AUTH─► submission of acme ═ overlay ═ globex ─► Dovecot
//! ```

use std::path::PathBuf;

use crate::peers::Dovecot;
use crate::peers::clients::Login;
use crate::site::TwoSites;

/// The door, and what is behind it.
pub struct Door {
    /// Acme and globex, up and connected.
    pub sites: TwoSites,
    /// The door's port with STARTTLS, and the one with TLS from the first octet.
    pub ports: [u16; 2],
    /// Everybody's, at acme and at globex.
    pub mailboxes: Dovecot,
    certificate: PathBuf,
}

impl Door {
    /// With these people, each with the password `pw-of-` and the name.
    pub fn open(people: &[&str]) -> Self {
        let mailboxes = Dovecot::start();
        let lmtp = format!("lmtp:127.0.0.1:{}", mailboxes.lmtp_port());
        let mut sites = TwoSites::found(&lmtp, &lmtp);
        let ports = sites.acme.open_submission(people);
        let certificate = sites.acme.certificate();
        sites.start();
        Self { sites, ports, mailboxes, certificate }
    }

    /// How somebody gets in who says this name and this password.
    pub fn login<'a>(
        &'a self,
        mechanism: &'a str,
        implicit_tls: bool,
        (user, password): (&'a str, &'a str),
    ) -> Login<'a> {
        let port = self.ports[usize::from(implicit_tls)];
        Login { port, implicit_tls, certificate: &self.certificate, mechanism, user, password }
    }
}
