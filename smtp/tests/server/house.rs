//! A server on a free port with a house that records what it is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use smtp::reply::{Enhanced, Reply};
use smtp::server::{
    AuthRefusal, Client, Config, Credentials, Event, Limits, MailFrom, Mechanisms, Premises, RcptTo,
    Reception, Role, ScramKeys, serve,
};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::PATIENCE;

/// A mail as the house got it.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) client: Client,
    pub(crate) from: MailFrom,
    pub(crate) to: Vec<RcptTo>,
    pub(crate) octets: Bytes,
}

/// Keeps everything, except for recipients that begin with `no`; `panic` makes it panic. With a closed gate it thinks on until
/// [`House::open_gate`].
pub(crate) struct House {
    kept: Mutex<Vec<Mail>>,
    events: mpsc::UnboundedSender<Event>,
    asked: Semaphore,
    gate: Semaphore,
}

impl House {
    pub(crate) fn kept(&self) -> Vec<Mail> {
        self.kept.lock().unwrap().clone()
    }

    /// Waits until another message waits at the gate.
    pub(crate) async fn is_asked(&self) {
        timeout(PATIENCE, self.asked.acquire()).await.expect("a question in time").unwrap().forget();
    }

    /// Lets `mails` more through.
    pub(crate) fn open_gate(&self, mails: usize) {
        self.gate.add_permits(mails);
    }
}

impl Reception for House {
    type Transaction = Mail;

    async fn mail(&self, client: &Client, from: MailFrom) -> Result<Mail, Reply> {
        Ok(Mail { client: client.clone(), from, to: Vec::new(), octets: Bytes::new() })
    }

    async fn recipient(&self, mail: &mut Mail, to: RcptTo) -> Result<(), Reply> {
        if to.address.local().starts_with("no") {
            return Err(Reply::new(550, Enhanced(5, 1, 1), "no such mailbox"));
        }
        assert_ne!(to.address.local(), "panic", "as the test wishes");
        mail.to.push(to);
        Ok(())
    }

    async fn message(&self, mail: Mail, octets: Bytes) -> Reply {
        self.asked.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.kept.lock().unwrap().push(Mail { octets, ..mail });
        Reply::new(250, Enhanced(2, 6, 0), "kept")
    }

    /// Knows Alice, whose password is `pencil`.
    async fn authenticate(&self, _: &Client, credentials: Credentials) -> Result<String, AuthRefusal> {
        match credentials {
            Credentials::Password { user, password } if user == "alice" && password.reveal() == "pencil" => {
                Ok(user)
            }
            _ => Err(AuthRefusal::Wrong),
        }
    }

    /// Made-up keys, for everybody.
    async fn scram(&self, _: &Client, user: &str) -> Result<ScramKeys, AuthRefusal> {
        let (user, salt, key) = (user.to_owned(), vec![7; 16], [7; 32]);
        Ok(ScramKeys { user, salt, iterations: 4_096, stored_key: key.into(), server_key: key.into() })
    }

    fn event(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) house: Arc<House>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_in(Premises::default(), config).await
    }

    /// A listener that shares what it holds with others.
    pub(crate) async fn start_in(premises: Premises, config: Config) -> Self {
        let server = Self::start_with_closed_gate(premises, config).await;
        server.house.open_gate(Semaphore::MAX_PERMITS);
        server
    }

    pub(crate) async fn start_with_closed_gate(premises: Premises, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let house = Arc::new(House {
            kept: Mutex::default(),
            events: sender,
            asked: Semaphore::new(0),
            gate: Semaphore::new(0),
        });
        let stop = CancellationToken::new();
        let task =
            tokio::spawn(serve(listener, Arc::new(config), premises, Arc::clone(&house), stop.clone()));
        Self { address, house, events, stop, task }
    }

    /// Waits for the first event that `wanted` finds.
    pub(crate) async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await.expect("an event in time");
            let event = event.expect("the house is alive");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Stops and waits for the end of the last session.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("an end in time").unwrap();
    }
}

pub(crate) fn config() -> Config {
    Config {
        role: Role::Relay,
        hostname: "gw.acme.example".into(),
        size_max: 1024 * 1024,
        trusted_networks: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_networks: Vec::new(),
        bare_line_ends_from: Vec::new(),
        tls: None,
        implicit_tls: false,
        auth: Mechanisms::new(),
        limits: Limits::default(),
    }
}

pub(crate) fn config_with(limits: Limits) -> Config {
    Config { limits, ..config() }
}
