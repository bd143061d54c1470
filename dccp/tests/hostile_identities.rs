//! Identity decoders read strangers' bytes: they never panic, and nothing altered is believed.

mod common;

use bytes::Bytes;
use common::{NOW, Organisation};
use dccp::did::{Log, Manifest};
use dccp::node::NodeRecord;
use dccp::partner::PartnerFile;
use dccp::prekey::Prekey;
use dccp::seal::SealedMessage;
use dccp::{Did, Suite};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn decoders_never_panic_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let document = Organisation::acme().log.verify().unwrap();
        prop_assert!(Log::from_bytes(&bytes).is_err());
        prop_assert!(Manifest::from_bytes(&bytes).is_err());
        prop_assert!(NodeRecord::verify(&bytes, &document, NOW).is_err());
        prop_assert!(NodeRecord::claimed_did(&bytes).is_err());
        prop_assert!(Prekey::verify(&bytes, &document, NOW).is_err());
        prop_assert!(SealedMessage::parse(Bytes::from(bytes)).is_err());
        prop_assert!(PartnerFile::from_text(&text).is_err());
        prop_assert!(text.parse::<Did>().is_err());
    }

    #[test]
    fn an_altered_log_is_refused_or_names_another_did(at: prop::sample::Index, flip in 1..=255_u8) {
        let acme = Organisation::acme();
        let mut bytes = acme.log.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let document = Log::from_bytes(&bytes).and_then(|log| log.verify());
        prop_assert!(document.is_err(), "octet {at}");
    }

    #[test]
    fn an_altered_manifest_is_refused(at: prop::sample::Index, flip in 1..=255_u8) {
        let acme = Organisation::acme();
        let document = acme.log.verify().unwrap();
        let mut bytes = acme.manifest().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let devices = Manifest::from_bytes(&bytes).and_then(|manifest| manifest.verify(&document, NOW));
        prop_assert!(devices.is_err(), "octet {at}");
    }

    #[test]
    fn no_number_but_those_of_the_four_suites_names_one(id in prop_oneof![any::<u32>(), 0..0x300_u32]) {
        let known = [0x0001, 0x0002, 0x0101, 0x0102].contains(&id);
        prop_assert_eq!(Suite::try_from(id).is_ok(), known);
    }
}
