//! The proof: scenarios with real peers, fault injection, benchmarks.
//!
//! ```text
//! tests/*.rs ─► site (a real dccp-gateway process) ═ overlay ═ site ─► peers (Postfix, Dovecot, mail clients)
//!      └─────► submit (a bare SMTP client that says exactly what it is told)
//! ```
//!
//! Deliberately absent: fakes, except where hostile behaviour must be forged.

pub mod agent;
pub mod bench;
pub mod door;
pub mod mallory;
pub mod office;
pub mod peers;
pub mod site;
pub mod submit;
pub mod web;
