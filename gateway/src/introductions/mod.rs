//! Introductions: how our newest records become known, and how we come to know others'.
//!
//! ```text
//! own ───── our bundle and head ─► answers ◄── /dccp/did/1, /dccp/find/1, /dccp/prekey/1 ── partners, strangers
//!                                └► Hello of every stream, the hash table, the HTTPS door (publication)
//!
//! a head on a stream that says more than we know ─┐
//! a partner that is not reachable, or frozen ─────┼─► renewal ─► resolver ─► road, HTTPS mirror ─► cache = database
//! a domain that was not looked at for a day ──────┘      └─► partners are loaded anew; mail follows, waits or goes on
//!
//! messages, answers ─────────────────── heads of trees ─┐
//! the board: head records on others' shelves, hourly ───┼─► gossip ─► people::Watch ── one tree? ─► alarm
//! head records on streams, and brought to be kept ──────┘
//! ```
//!
//! Words: a *head* is the signed statement which operation of a log is the last; a *bundle* is a log with its manifest,
//! node records and prekeys, the same bytes from every source.
//!
//! Invariants:
//! - Nothing is believed because of who said it: the resolver verifies whole logs, the database keeps verified ones.
//! - A question of a stranger costs us a bounded look-up; what may cost more (judging a head record) is counted.
//! - Nobody is dialled on the word of a caller: who cannot prove to be a partner is asked on the connection that he made.
//! - A look-up that fails changes nothing: a partner stays what it was, mail waits.
//!
//! Deliberately absent: which of two histories counts (`dccp`, `finding`), who may be pinned ([`crate::partners`]).

mod answers;
mod board;
mod cache;
mod furnish;
mod gossip;
mod identify;
mod own;
mod publish;
mod recheck;
mod renewal;
mod road;
mod seek;
mod whereabouts;

pub use answers::{Introductions, Parts};
pub use board::Board;
pub use cache::Identities;
pub use furnish::{FurnishError, Needs, Room};
pub use gossip::{Gossip, GossipTask, Heard};
pub use identify::Identify;
pub use own::Own;
pub use publish::Publishing;
pub use recheck::Recheck;
pub use renewal::{Renewal, SEEN_MAX, Seen};
pub use road::{AskRoad, Road};
pub use seek::Seeker;
pub use whereabouts::{Gateway, LookUp, Whereabouts};
