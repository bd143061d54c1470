//! A partner who means ill: an organisation with real keys, whose node runs in the test and says what it likes.
//!
//! ```text
//! Mallory::among([&globex]) ─► draft() ─► seal() ─► send()      through the overlay, as a gateway would
//!                                            └────► raw() ─► say() frames that no overlay would send
//! globex ─► receipts ─► Mallory::verdict_on(sealed)
//! ```
//!
//! Forged here, because no honest software does it: what is sealed to whom, in whose name, signed by which key.

mod node;
mod raw;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dccp::keys::DeviceSigner;
use dccp::mail::{self, Content, Mail, MailEnvelope};
use dccp::message::{Class, FsClass, Message};
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::receipt::{self, Receipt};
use dccp::seal::{RecipientKey, SealedMessage, seal, unseal};
use dccp::{Did, Suite, UnixMillis};
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::spool::{Spool, SpoolConfig};
use overlay::{HopAck, Overlay, SendError};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::site::{PATIENCE, Site};

pub use raw::RawStream;

/// An hour: a life long enough for a test and short enough for any limit.
const LIFE_MS: u64 = 3_600_000;

/// The organisation mallory.test and its node.
pub struct Mallory {
    runtime: Runtime,
    /// Its folder, keys and addresses. Its gateway never runs.
    pub site: Site,
    /// Its keys.
    pub custody: Custody,
    victims: HashMap<&'static str, VerifiedPartner>,
    overlay: Option<Overlay>,
    mailbag: mpsc::UnboundedReceiver<SealedMessage>,
    receipts: Vec<Receipt>,
}

impl Mallory {
    /// Founded; the victims, whose gateways need not run yet, have imported its partner file.
    pub fn among(victims: &[&Site]) -> Self {
        // libp2p brings a second provider of cryptography, so one must be chosen.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let site = Site::found("mallory.test", "lmtp:127.0.0.1:9");
        victims.iter().for_each(|victim| victim.introduce(&site));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = Config::load(&site.config()).expect("the configuration of init");
        let custody = runtime.block_on(async {
            let (spool, guard) =
                Spool::open_offline(config.database_path(), SpoolConfig::default()).expect("a spool");
            let custody = Custody::load(&config, &spool, now()).await.expect("the keys of init");
            guard.close().await;
            custody
        });
        let victims: HashMap<_, _> =
            victims.iter().map(|victim| (victim.domain, identity_of(victim))).collect();
        let (bag, mailbag) = mpsc::unbounded_channel();
        let overlay = runtime.block_on(node::node(&custody, &config, &victims, bag));
        Self { runtime, site, custody, victims, overlay: Some(overlay), mailbag, receipts: Vec::new() }
    }

    /// Waits until the links to all victims are up.
    pub fn await_links(&self) {
        let mut links = self.overlay().links();
        let count = self.victims.len();
        let all_up = links.wait_for(|links| links.len() == count && links.values().all(|link| link.up));
        self.within("links to the victims", all_up).expect("the overlay runs");
    }

    /// The DID of a victim.
    pub fn did_of(&self, victim: &Site) -> Did {
        self.victims[victim.domain].document.did().clone()
    }

    /// The victim's prekey of the day, as any partner knows it.
    pub fn prekey_of(&self, victim: &Site) -> RecipientKey {
        let victim = &self.victims[victim.domain];
        let prekey =
            victim.prekeys.iter().find(|prekey| prekey.is_current_at(now())).expect("a prekey of today");
        RecipientKey {
            did: victim.document.did().clone(),
            suite: Suite::X0001,
            key_id: prekey.key_id,
            kem: prekey.kem.clone(),
            fs_class: FsClass::Epoch,
        }
    }

    /// An ordinary message to the owner of `key`, to be spoiled by the test.
    pub fn draft(&self, key: &RecipientKey, content_type: &str, payload: impl Into<Bytes>) -> Message {
        Message {
            sender: self.custody.did().clone(),
            message_id: Uuid::now_v7(),
            payload: payload.into(),
            recipients: vec![key.did.clone()],
            content_type: content_type.to_owned(),
            timestamp: now(),
            expires: now().saturating_add_ms(LIFE_MS),
            class: Class::Normal,
            fs_class: key.fs_class,
            suite: Suite::X0001,
            own_tree: None,
            your_tree: None,
        }
    }

    /// A mail to the victim, sealed as it should be.
    pub fn mail(&self, victim: &Site, from: &str, to: &str, octets: &[u8]) -> SealedMessage {
        let key = self.prekey_of(victim);
        self.seal(&self.draft(&key, mail::CONTENT_TYPE, payload(from, to, octets)), &key)
    }

    /// Signed by mallory's own device.
    pub fn seal(&self, message: &Message, key: &RecipientKey) -> SealedMessage {
        seal_as(message, key, self.custody.device(), now())
    }

    /// Sends through the overlay and waits for the acknowledgement. As any node it sends again when the link breaks: right
    /// after a victim was killed, a link of its former life may still count as up.
    pub fn send(&self, victim: &Site, sealed: SealedMessage) -> Result<HopAck, SendError> {
        let to = self.did_of(victim);
        let sending = async {
            loop {
                match self.overlay().send(&to, sealed.clone()).await {
                    Err(SendError::Interrupted | SendError::Unreachable(_)) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    answer => return answer,
                }
            }
        };
        self.within("an acknowledgement", sending)
    }

    /// Sends a batch of receipts, as it is.
    pub fn say_receipts(&self, victim: &Site, receipts: &[Receipt]) {
        let key = self.prekey_of(victim);
        let batch = self.seal(&self.draft(&key, receipt::CONTENT_TYPE, receipt::encode(receipts)), &key);
        self.send(victim, batch).expect("kept");
    }

    /// Sends all at the same moment; all must be acknowledged.
    pub fn send_at_once(&self, victim: &Site, sealed: Vec<SealedMessage>) {
        let to = self.did_of(victim);
        let sending = sealed.into_iter().map(|sealed| self.overlay().send(&to, sealed));
        self.within("acknowledgements", futures::future::try_join_all(sending)).expect("all are kept");
    }

    /// Waits for the next message that a victim sends: for tests in which it is no receipt.
    pub fn next_arrival(&mut self) -> SealedMessage {
        let waiting = async { tokio::time::timeout(PATIENCE, self.mailbag.recv()).await };
        self.runtime.block_on(waiting).expect("a message in time").expect("the overlay runs")
    }

    /// The name that the sender gave to a message to us.
    pub fn message_id_of(&self, sealed: &SealedMessage) -> Uuid {
        let key = self.custody.device_kem(&sealed.key_id()).expect("sealed to a key of ours");
        let unverified = unseal(sealed, &key).expect("opens");
        let sender = self.victims.values().find(|victim| victim.document.did() == unverified.sender());
        let signer =
            sender.and_then(|sender| sender.devices.signer(unverified.signer(), now())).expect("known");
        unverified.verify(signer, self.custody.did(), now()).expect("verifies").message.message_id
    }

    /// Waits for the victim's signed word on this message: the first outcome of its receipt.
    pub fn verdict_on(&mut self, victim: &Site, sealed: &SealedMessage) -> receipt::Outcome {
        let digest = sealed.digest();
        loop {
            if let Some(receipt) = self.receipts.iter().find(|receipt| receipt.digest == digest) {
                return receipt.outcomes.first().expect("an outcome").clone();
            }
            let batch = self.next_arrival();
            let receipts = self.read_receipts(victim, &batch);
            self.receipts.extend(receipts);
        }
    }

    fn read_receipts(&self, victim: &Site, batch: &SealedMessage) -> Vec<Receipt> {
        let key = self.custody.device_kem(&batch.key_id()).expect("sealed to a key of ours");
        let unverified = unseal(batch, &key).expect("opens");
        let devices = &self.victims[victim.domain].devices;
        let signer =
            devices.signer(unverified.signer(), now()).expect("signed by a device of the victim").clone();
        let opened = unverified.verify(&signer, self.custody.did(), now()).expect("verifies");
        assert_eq!(opened.message.content_type, receipt::CONTENT_TYPE);
        receipt::decode(&opened.message.payload).expect("readable receipts")
    }

    fn overlay(&self) -> &Overlay {
        self.overlay.as_ref().expect("running")
    }

    fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let patient = async { tokio::time::timeout(PATIENCE, future).await };
        self.runtime.block_on(patient).unwrap_or_else(|_| panic!("mallory waited in vain for {what}"))
    }
}

impl Drop for Mallory {
    fn drop(&mut self) {
        if let Some(overlay) = self.overlay.take() {
            self.runtime.block_on(overlay.shutdown(Duration::from_secs(2)));
        }
    }
}

/// The payload of a mail with one recipient.
pub fn payload(from: &str, to: &str, octets: &[u8]) -> Bytes {
    let envelope = MailEnvelope {
        reverse_path: from.to_owned(),
        forward_paths: vec![to.to_owned()],
        body_8bit: false,
        smtputf8: false,
        ..MailEnvelope::default()
    };
    Mail { envelope, content: Content::Inline(Bytes::copy_from_slice(octets)) }.encode()
}

/// Seals with any signing key, at any time.
pub fn seal_as(
    message: &Message,
    key: &RecipientKey,
    signer: &DeviceSigner,
    at: UnixMillis,
) -> SealedMessage {
    seal(message, key, signer, at, &mut rand::rng()).expect("sealed")
}

/// The time.
pub fn now() -> UnixMillis {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("not that far in the future"))
}

fn identity_of(site: &Site) -> VerifiedPartner {
    let text = String::from_utf8(site.export()).expect("a partner file");
    PartnerFile::from_text(&text).and_then(|file| file.verify(now())).expect("a valid partner file")
}
