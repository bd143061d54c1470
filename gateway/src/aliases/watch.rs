//! Reads the file of aliases again when it changes: people come and go, and mail must not stop for that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Aliases, Mistake, load};

/// Between two looks at the file: nobody waits longer for a new colleague.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// Watches the file.
pub struct Watch {
    path: PathBuf,
    domains: Vec<String>,
    stamp: Stamp,
    aliases: watch::Sender<Arc<Aliases>>,
}

impl Watch {
    /// Reads the file for the first time; `domains` are ours. The receiver always has the newest aliases without a mistake.
    ///
    /// # Errors
    /// The first [`Mistake`]: a gateway does not start with aliases that it does not understand.
    pub fn new(
        path: PathBuf,
        domains: Vec<String>,
    ) -> Result<(Watch, watch::Receiver<Arc<Aliases>>), Mistake> {
        let stamp = stamp(&path);
        let (aliases, seen) = watch::channel(Arc::new(load(&path, &domains)?));
        Ok((Watch { path, domains, stamp, aliases }, seen))
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let looks = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                self.look();
            }
        };
        stop.run_until_cancelled(looks).await;
    }

    /// Takes the file if it is another one than at the last look, and has no mistake.
    fn look(&mut self) {
        let stamp = stamp(&self.path);
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp; // a mistake is told once, not every two seconds
        match load(&self.path, &self.domains) {
            Ok(aliases) => {
                tracing::info!(aliases = aliases.count(), "the aliases have changed");
                self.aliases.send_replace(Arc::new(aliases));
            }
            Err(mistake) => {
                tracing::error!(file = %self.path.display(), %mistake, "the aliases have changed and have a mistake; the last ones stay in force");
            }
        }
    }
}

/// `None`: there is no such file now.
fn stamp(path: &PathBuf) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_aliases_are_taken_and_mistaken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.yaml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("team@acme.test: alice@acme.test\n");
        let (mut watch, seen) = Watch::new(path.clone(), vec!["acme.test".to_owned()]).unwrap();
        let team = || seen.borrow().expand(&"team@acme.test".parse().unwrap()).map(|all| all.len());
        assert_eq!(team(), Some(1));
        write("team@acme.test: [alice@acme.test, bob@globex.test]\n");
        watch.look();
        assert_eq!(team(), Some(2));
        write("team@acme.test: [team@acme.test, not an address]\n");
        watch.look();
        assert_eq!(team(), Some(2), "a mistake changes nothing");
        std::fs::remove_file(&path).unwrap();
        watch.look();
        assert_eq!(team(), Some(2), "nor does a file that is away");
        write("# nobody any more\n");
        watch.look();
        assert_eq!(team(), None);
    }
}
