//! Two organisations that know each other.

use super::{Site, eventually, in_parting};

/// Two organisations that know each other, and the personas in them: alice at acme, bob at globex.
pub struct TwoSites {
    /// Where alice is.
    pub acme: Site,
    /// Where bob is.
    pub globex: Site,
}

impl TwoSites {
    /// Founded, introduced to each other, not started.
    pub fn found(acme_deliver: &str, globex_deliver: &str) -> Self {
        let acme = Site::found("acme.test", acme_deliver);
        let globex = Site::found("globex.test", globex_deliver);
        acme.introduce(&globex);
        globex.introduce(&acme);
        Self { acme, globex }
    }

    /// Both started, and the links between them up.
    pub fn start(&mut self) {
        self.acme.start();
        self.globex.start();
        self.acme.await_links();
        self.globex.await_links();
    }

    /// Waits until nothing is left to do on either side: what one has done the other may have to answer.
    pub fn settled(&self) {
        eventually("both have settled everything", || {
            (self.acme.unsettled() == 0 && self.globex.unsettled() == 0 && self.acme.unsettled() == 0)
                .then_some(())
        });
    }
}

impl Drop for TwoSites {
    /// What one still owes the other arrives while both run; each is asked about the rest when it is dropped itself.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            in_parting(|| self.acme.owes() + self.globex.owes() == 0);
        }
    }
}
