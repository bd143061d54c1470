//! The house: wiring, configuration, flows, spool, custody, control API, metrics.
//!
//! ```text
//!            smtp ──► flows::mail_out ──► spool ──► courier ──► overlay ═══ partners
//!                                           ▲                      ║
//! our mail server ◄── flows::mail_in ◄── delivery ◄── spool ◄── flows::arrival
//!                                           └──► flows::receipts ──► spool ──► courier
//! ```
//!
//! Its words, and where to go to change something, are in this room's README. [`run`] is the wiring on one page.
//!
//! Invariants: what is answered for is durable first ([`spool`]); what rests is sealed ([`custody`]); sealing and handing
//! over take a permit of the judge ([`flows`]); one snapshot of partners and rules per message.
//!
//! Deliberately absent: protocol bytes (`dccp`), sockets of the overlay (`overlay`), SMTP grammar (`smtp`), rules
//! (`policies`).

pub mod acquaintance;
pub mod agents;
pub mod alarm;
pub mod aliases;
mod allowance;
pub mod archive;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod config;
pub mod courier;
pub mod custody;
pub mod delivery;
pub mod dkim;
pub mod exchange;
pub mod flows;
pub mod forward;
pub mod housekeeping;
pub mod http;
pub mod introductions;
pub mod metrics;
pub mod partners;
pub mod people;
pub mod publication;
pub mod queue;
pub mod recipients;
pub mod relay;
pub mod run;
pub mod schedule;
pub mod spool;
pub mod suites;
pub mod users;
