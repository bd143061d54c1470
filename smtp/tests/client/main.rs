//! The client against scripted servers: honest, slow, broken and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod certificates;
mod faults;
mod hostile;
mod inquiry;
mod login;
mod reports;
mod requirements;
mod reuse;
mod scripted;
mod tls;
mod transaction;
mod verification;
