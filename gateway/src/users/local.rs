//! The verifier that reads the user file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use smtp::server::{AuthRefusal, Credentials, Mechanism, Mechanisms, ScramKeys};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::file::{Stamp, UserFile, UserFileError};
use super::password::{PasswordHash, prepared};
use super::{User, Verifier, scram};
use crate::clock::Clock;
use crate::custody::Vault;

/// Passwords checked at a time: each takes some 20 MB of memory and one core for some 20 ms. Others wait.
const CHECKS_AT_ONCE_MAX: usize = 4;

/// Whoever waits longer for a check is told to come back; the client has not lost patience by then.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Binds a made-up salt to its use: the tag of a name is never the tag of anything else.
const DECOY: &str = "scram-decoy";

/// Users in a file of ours.
#[derive(Clone)]
pub struct LocalUsers(Arc<Store>);

struct Store {
    path: PathBuf,
    /// The file as it was read last.
    seen: Mutex<Seen>,
    checks: Semaphore,
    /// Checked when there is no such user, so that the answer takes as long.
    decoy: PasswordHash,
    /// Makes up salts that stay the same over restarts.
    vault: Arc<Vault>,
    clock: Clock,
}

#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    file: Arc<UserFile>,
}

impl LocalUsers {
    /// The users in the file at `path`, which need not exist yet.
    pub fn new(path: PathBuf, vault: Arc<Vault>, clock: Clock) -> LocalUsers {
        let decoy = PasswordHash::of("");
        let (seen, checks) = (Mutex::default(), Semaphore::new(CHECKS_AT_ONCE_MAX));
        LocalUsers(Arc::new(Store { path, seen, checks, decoy, vault, clock }))
    }

    /// Asks the store on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, AuthRefusal> + Send + 'static,
    ) -> Result<T, AuthRefusal> {
        let store = self.0.clone();
        tokio::task::spawn_blocking(move || question(&store)).await.unwrap_or(Err(AuthRefusal::Unavailable))
    }
}

#[async_trait]
impl Verifier for LocalUsers {
    fn mechanisms(&self) -> Mechanisms {
        Mechanism::ALL.into_iter().collect()
    }

    async fn authenticate(&self, credentials: Credentials) -> Result<User, AuthRefusal> {
        let (user, password) = match credentials {
            Credentials::Password { user, password } => (user, password),
            Credentials::Token { user, token } => {
                return self.ask(move |store| store.bearer(user.as_deref(), token.reveal())).await;
            }
        };
        let turn = tokio::time::timeout(WAIT_MAX, self.0.checks.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(AuthRefusal::Unavailable) };
        self.ask(move |store| store.check(&user, &prepared(password.reveal()))).await
    }

    async fn scram(&self, user: &str) -> Result<ScramKeys, AuthRefusal> {
        let user = user.to_owned();
        self.ask(move |store| store.scram(&user)).await
    }

    async fn user(&self, name: &str) -> Result<User, AuthRefusal> {
        let name = name.to_owned();
        self.ask(move |store| {
            store.file()?.entry(&name).map(|entry| entry.user().clone()).map_err(|_| AuthRefusal::Wrong)
        })
        .await
    }
}

impl Store {
    fn check(&self, user: &str, password: &str) -> Result<User, AuthRefusal> {
        let file = self.file()?;
        let entry = file.entry(user).ok();
        let right = entry.map_or(&self.decoy, |entry| &entry.password).is_of(password);
        entry.filter(|_| right).map(|entry| entry.user().clone()).ok_or(AuthRefusal::Wrong)
    }

    /// Whose token it is. A client that says another name than the token's (its own, or an address of its own) is mistaken
    /// about who it is: it is not let in.
    fn bearer(&self, said: Option<&str>, token: &str) -> Result<User, AuthRefusal> {
        let file = self.file()?;
        let user = file.bearer(token, (self.clock)()).ok_or(AuthRefusal::Wrong)?;
        let agrees = said.is_none_or(|said| User::canonical(said) == user.name() || user.owns(said));
        if agrees { Ok(user.clone()) } else { Err(AuthRefusal::Wrong) }
    }

    fn scram(&self, user: &str) -> Result<ScramKeys, AuthRefusal> {
        let file = self.file()?;
        Ok(file.entry(user).map_or_else(|_| self.decoy_keys(user), Entry::scram_keys))
    }

    /// Keys for somebody who does not exist: the salt is the same at each question, like that of somebody who does; no
    /// password fits.
    fn decoy_keys(&self, user: &str) -> ScramKeys {
        let user = User::canonical(user);
        let salt = self.vault.tag(DECOY, user.as_bytes()).to_vec();
        let [stored_key, server_key] = [(); 2].map(|()| Zeroizing::new(rand::random()));
        ScramKeys { user, salt, iterations: scram::ITERATIONS, stored_key, server_key }
    }

    /// The file as it is now. One that cannot be read lets nobody in, not even those that an earlier state knew: it may have
    /// been changed to lock somebody out.
    fn file(&self) -> Result<Arc<UserFile>, AuthRefusal> {
        self.refreshed().map_err(|error| {
            tracing::error!(%error, "nobody can log in: the user file is not usable");
            AuthRefusal::Unavailable
        })
    }

    fn refreshed(&self) -> Result<Arc<UserFile>, UserFileError> {
        let io = |source| UserFileError::Io { path: self.path.clone(), source };
        let stamp = Stamp::now(&self.path).map_err(io)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp != seen.stamp {
            let (file, stamp) = UserFile::read(&self.path)?;
            *seen = Seen { stamp, file: Arc::new(file) };
        }
        Ok(seen.file.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dccp::UnixMillis;
    use smtp::server::Secret;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    struct Desk {
        folder: tempfile::TempDir,
        users: LocalUsers,
    }

    impl Desk {
        fn with_alice() -> Desk {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("users.yaml");
            let alice = User::new("alice", ["alice@acme.test".to_owned()]).unwrap();
            UserFile::change(&path, |file| file.add(Entry::new(alice, "correct horse"))).unwrap();
            let users = LocalUsers::new(path, Arc::new(Vault::new(Zeroizing::new([7; 32]))), || NOW);
            Desk { folder, users }
        }

        fn change(&self, change: impl FnOnce(&mut UserFile) -> Result<(), UserFileError>) {
            UserFile::change(&self.folder.path().join("users.yaml"), change).unwrap();
        }

        async fn login(&self, user: &str, password: &str) -> Result<User, AuthRefusal> {
            let password = Secret::new(password.to_owned());
            self.users.authenticate(Credentials::Password { user: user.to_owned(), password }).await
        }

        async fn show(&self, user: Option<&str>, token: &str) -> Result<User, AuthRefusal> {
            let token = Secret::new(token.to_owned());
            self.users.authenticate(Credentials::Token { user: user.map(str::to_owned), token }).await
        }
    }

    #[tokio::test]
    async fn the_right_password_lets_in_under_the_name_in_the_file() {
        let desk = Desk::with_alice();
        let user = desk.login("ALICE", "correct horse").await.unwrap();
        assert_eq!(user.name(), "alice");
        assert!(user.owns("Alice@ACME.test") && !user.owns("bob@acme.test"));
    }

    #[tokio::test]
    async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
        let desk = Desk::with_alice();
        for (user, password) in [("alice", "wrong horse"), ("alice", ""), ("bob", "correct horse"), ("", "")]
        {
            assert!(matches!(desk.login(user, password).await, Err(AuthRefusal::Wrong)), "{user}");
        }
    }

    #[tokio::test]
    async fn a_token_lets_in_whose_it_is_until_it_ends_or_is_revoked() {
        let desk = Desk::with_alice();
        let (mut laptop, mut ended) = (None, None);
        desk.change(|file| {
            let alice = file.entry_mut("alice")?;
            laptop = Some(alice.issue("Laptop", NOW.saturating_add_ms(1))?);
            ended = Some(alice.issue("phone", NOW)?);
            assert!(matches!(alice.issue("laptop", NOW), Err(UserFileError::TokenTaken { .. })));
            Ok(())
        });
        let (laptop, ended) = (laptop.unwrap(), ended.unwrap());
        for said in [None, Some("alice"), Some("ALICE"), Some("Alice@acme.test")] {
            assert_eq!(desk.show(said, &laptop).await.unwrap().name(), "alice");
        }
        assert!(matches!(desk.show(Some("bob"), &laptop).await, Err(AuthRefusal::Wrong)));
        assert!(matches!(desk.show(None, &ended).await, Err(AuthRefusal::Wrong)), "it counts until then");
        assert!(matches!(desk.show(None, "correct horse").await, Err(AuthRefusal::Wrong)));
        assert!(desk.login("alice", &laptop).await.is_err(), "a token is no password");
        desk.change(|file| file.set_password("alice", "another horse"));
        desk.show(None, &laptop).await.unwrap();
        desk.change(|file| file.entry_mut("alice")?.revoke("LAPTOP"));
        assert!(desk.show(None, &laptop).await.is_err());
    }

    #[tokio::test]
    async fn a_change_counts_at_once() {
        let desk = Desk::with_alice();
        desk.login("alice", "correct horse").await.unwrap();
        desk.change(|file| file.set_password("alice", "another horse"));
        assert!(desk.login("alice", "correct horse").await.is_err());
        desk.login("alice", "another horse").await.unwrap();
        desk.change(|file| file.remove("alice"));
        assert!(desk.login("alice", "another horse").await.is_err());
        assert!(matches!(desk.users.user("alice").await, Err(AuthRefusal::Wrong)));
    }

    #[tokio::test]
    async fn a_broken_file_is_never_a_wrong_password() {
        let desk = Desk::with_alice();
        desk.login("alice", "correct horse").await.unwrap();
        fs::write(desk.folder.path().join("users.yaml"), "users: [").unwrap();
        assert!(matches!(desk.login("alice", "correct horse").await, Err(AuthRefusal::Unavailable)));
        assert!(matches!(desk.users.scram("alice").await, Err(AuthRefusal::Unavailable)));
    }

    #[tokio::test]
    async fn somebody_who_does_not_exist_has_keys_that_stay_the_same() {
        let desk = Desk::with_alice();
        let [first, again, other] = [
            desk.users.scram("nobody").await,
            desk.users.scram("Nobody").await,
            desk.users.scram("nemo").await,
        ]
        .map(|keys| keys.ok().unwrap());
        let alice = desk.users.scram("alice").await.ok().unwrap();
        assert_eq!(first.salt, again.salt);
        assert_ne!(first.salt, other.salt);
        assert_eq!((first.salt.len(), first.iterations), (alice.salt.len(), alice.iterations));
    }

    #[tokio::test]
    async fn many_at_once_are_all_answered() {
        let desk = Arc::new(Desk::with_alice());
        let mut checks = tokio::task::JoinSet::new();
        for _ in 0..4 * CHECKS_AT_ONCE_MAX {
            let desk = desk.clone();
            checks.spawn(async move { desk.login("alice", "correct horse").await.is_ok() });
        }
        assert!(checks.join_all().await.into_iter().all(|let_in| let_in));
    }
}
