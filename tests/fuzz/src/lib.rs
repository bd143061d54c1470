//! What each decoder promises about any bytes, as functions that panic when a promise is broken.
//!
//! ```text
//! libFuzzer (make fuzz) ──────────┐
//!                                 ├──► all(): name, fn(&[u8]) ──► a decoder of dccp, smtp, finding, gateway
//! tests/tests/fuzz_seeds.rs ──────┘
//!   committed corpus, mutated
//! ```
//!
//! # Promises
//! * No input panics.
//! * What was accepted encodes to the very same octets; where a format allows several spellings, to one that reads
//!   back as the same thing.
//! * What was accepted is within the limits that its format names, and what comes out is bounded by what went in.
//!
//! What stands behind a signature or a ciphertext is reached as well: such a target signs or encrypts its input with
//! keys that the verifier knows ([`keys`]), because no fuzzer guesses a signature.
//!
//! Deliberately absent: the drivers. This crate has no state and knows neither libFuzzer nor the corpus.

pub mod keys;
pub mod questions;

mod bodies;
mod finding;
mod frames;
mod identity;
mod mail;
mod messages;
mod origin;
mod people;
mod trees;

/// A name, which is also the folder of its corpus, and a function that panics when a promise is broken. It says whether
/// the decoder accepted the octets, so that a corpus that has fallen behind its format does not go unnoticed.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub fn all() -> &'static [Target] {
    &[
        ("address_answer", questions::address_answer),
        ("agent_message", messages::agent_message),
        ("body", bodies::body),
        ("bundle", identity::bundle),
        ("claimed_proof", trees::claimed_proof),
        ("config", people::config),
        ("did", identity::did),
        ("dns_txt", finding::dns_txt),
        ("domain_name", finding::domain_name),
        ("forged_proof", trees::forged_proof),
        ("frame", frames::frame),
        ("head_body", identity::head_body),
        ("log", identity::log),
        ("mail_payload", messages::mail_payload),
        ("manifest", identity::manifest),
        ("manifest_body", identity::manifest_body),
        ("mirror", finding::mirror),
        ("node_record_body", identity::node_record_body),
        ("operation", identity::operation),
        ("partner_file", identity::partner_file),
        ("prekey_body", identity::prekey_body),
        ("prekey_question", questions::prekey_question),
        ("public_key", identity::public_key),
        ("question", questions::question),
        ("receipts", messages::receipts),
        ("recovery_share", people::recovery_share),
        ("sealed_message", messages::sealed_message),
        ("signed_part", messages::signed_part),
        ("smtp_address", mail::address),
        ("smtp_claims", origin::claims),
        ("smtp_message", mail::message),
        ("smtp_replies", mail::replies),
        ("smtp_report", mail::report),
        ("smtp_seal", origin::seal),
        ("smtp_session", mail::session),
        ("smtp_submission", mail::submission),
        ("stock", identity::stock),
        ("stock_root_body", identity::stock_root_body),
        ("succession", identity::succession),
        ("succession_body", identity::succession_body),
        ("tree_answer", questions::tree_answer),
        ("tree_head_body", questions::tree_head_body),
        ("well_known", finding::well_known),
    ]
}
