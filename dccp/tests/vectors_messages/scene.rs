//! Who seals and who opens in the vectors.

use bytes::Bytes;
use dccp::kem::DecapsulationKey;
use dccp::keys::{DeviceSigner, SigningKey, falcon};
use dccp::message::{Class, FsClass, Message};
use dccp::seal::{Opened, RecipientKey, SealedMessage, unseal};
use dccp::suite::KemAlgorithm;
use dccp::tree::TreeHead;
use dccp::{Did, Suite};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{array, base64, octets, text};
use crate::common::{NOW, Organisation};

/// Acme seals, Globex opens.
pub(crate) struct Scene {
    pub(crate) acme: Did,
    pub(crate) globex: Did,
    pub(crate) device: DeviceSigner,
    device_seed: [u8; 64],
    falcon: Vec<u8>,
    pub(crate) x_wing: DecapsulationKey,
    pub(crate) ml_kem: DecapsulationKey,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let falcon = falcon::SigningKey::generate(&mut StdRng::seed_from_u64(102)).to_bytes().to_vec();
        let (acme, globex) = (Organisation::acme().did(), Organisation::globex().did());
        Self::of(acme, globex, [12; 64], falcon, &[53; 32], &[54; 64])
    }

    fn of(
        acme: Did,
        globex: Did,
        device_seed: [u8; 64],
        falcon: Vec<u8>,
        x_wing: &[u8],
        ml_kem: &[u8],
    ) -> Self {
        let falcon_key = falcon::SigningKey::from_bytes(&falcon).unwrap();
        Self {
            acme,
            globex,
            device: DeviceSigner::new(SigningKey::from_seed(&device_seed), Some(falcon_key)),
            device_seed,
            falcon,
            x_wing: DecapsulationKey::from_seed(KemAlgorithm::XWing, x_wing).unwrap(),
            ml_kem: DecapsulationKey::from_seed(KemAlgorithm::MlKem768, ml_kem).unwrap(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let keys = self.device.verifying_key();
        json!({
            "sender": {
                "did": self.acme.as_str(),
                "signing_seed": base64(&self.device_seed),
                "fn_dsa_signing_key": base64(&self.falcon),
                "verifying_key": base64(&keys.hybrid().to_bytes()),
                "fn_dsa_verifying_key": base64(keys.falcon().unwrap().as_bytes()),
                "key_id": keys.key_id().to_string(),
            },
            "recipient": {
                "did": self.globex.as_str(),
                "x_wing_seed": base64(&self.x_wing.seed()),
                "x_wing_key_id": self.x_wing.encapsulation_key().key_id().to_string(),
                "ml_kem_768_seed": base64(&self.ml_kem.seed()),
                "ml_kem_768_key_id": self.ml_kem.encapsulation_key().key_id().to_string(),
            },
        })
    }

    pub(crate) fn from_json(json: &Value) -> Self {
        let (sender, recipient) = (&json["sender"], &json["recipient"]);
        Self::of(
            text(&sender["did"]).parse().unwrap(),
            text(&recipient["did"]).parse().unwrap(),
            array(&sender["signing_seed"]),
            octets(&sender["fn_dsa_signing_key"]),
            &octets(&recipient["x_wing_seed"]),
            &octets(&recipient["ml_kem_768_seed"]),
        )
    }

    /// Globex's key for a suite.
    pub(crate) fn key_of(&self, suite: Suite) -> &DecapsulationKey {
        match suite.choices().kem {
            KemAlgorithm::XWing => &self.x_wing,
            KemAlgorithm::MlKem768 => &self.ml_kem,
        }
    }

    pub(crate) fn recipient_key(&self, suite: Suite) -> RecipientKey {
        let kem = self.key_of(suite).encapsulation_key().clone();
        RecipientKey { did: self.globex.clone(), suite, key_id: kem.key_id(), kem, fs_class: FsClass::Epoch }
    }

    pub(crate) fn message(&self, suite: Suite) -> Message {
        Message {
            sender: self.acme.clone(),
            message_id: Uuid::from_u128(0x0190_c0de_0000_7000_8000_0000_0000_0001),
            payload: Bytes::from_static(b"Hello, Globex."),
            recipients: vec![self.globex.clone()],
            content_type: "text/plain".into(),
            timestamp: NOW,
            expires: NOW.saturating_add_ms(3_600_000),
            class: Class::Normal,
            fs_class: FsClass::Epoch,
            suite,
            own_tree: Some(TreeHead { size: 3, root: [3; 32] }),
            your_tree: None,
        }
    }

    /// A mail whose octets are the first body of `bodies.json`.
    pub(crate) fn large_mail(&self) -> Message {
        Message {
            payload: super::bodies::first_mail(),
            content_type: dccp::mail::CONTENT_TYPE.into(),
            ..self.message(Suite::X0001)
        }
    }

    /// What Globex says of some octets: the message, or the error by its name.
    pub(crate) fn judge(&self, sealed: Vec<u8>) -> Result<Opened, String> {
        let sealed = SealedMessage::parse(sealed.into()).map_err(|error| format!("{error:?}"))?;
        let ours = [&self.x_wing, &self.ml_kem];
        let named = ours.into_iter().find(|key| key.encapsulation_key().key_id() == sealed.key_id());
        let key = named.ok_or("UnknownKey")?;
        let unverified = unseal(&sealed, key).map_err(|error| format!("{error:?}"))?;
        unverified
            .verify(self.device.verifying_key(), &self.globex, NOW)
            .map_err(|error| format!("{error:?}"))
    }
}
