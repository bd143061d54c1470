//! The window: the console's pages, rendered on the server over the control API.
//!
//! ```text
//!  GET /                 overview: who we are, what waits, partners, the latest messages
//!  GET /messages/{id}    one message, every stage it passed
//!  GET /find?id=…        the search box: leads to the page of that message
//!  GET /queue            what waits, where for, and the form that orders
//!  POST /queue/orders    that form; these and the archive's are all that changes the gateway
//!  GET /archive          what rests in the archive, by which rules and holds
//!  POST /archive/holds   its form: a new hold; …/lift ends one
//!  GET /assets/…         one style sheet, one script, one icon; nothing comes from elsewhere
//! ```
//!
//! Invariants:
//! - A page is a function of what [`control::Control`] answers: no state, no keys, no storage here.
//! - Text from outside (addresses, Message-IDs, reasons, errors) passes the template's HTML escaping and
//!   `words::visible`, so that it can neither become markup nor reorder or hide what stands beside it.
//! - Every page works without JavaScript; the script only keeps it fresh. Nothing is inline, so the strictest
//!   content security policy holds.
//!
//! Deliberately absent: authentication, the check that a form came from one of these pages, and security headers: the
//! gateway's HTTP server puts them around this router.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod archive;
mod assets;
mod pages;
mod queue;
mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use control::{Archive, Control, Queue};

/// What the pages ask.
#[derive(Clone)]
struct House {
    control: Arc<dyn Control>,
    queue: Arc<dyn Queue>,
    archive: Arc<dyn Archive>,
}

impl FromRef<House> for Arc<dyn Control> {
    fn from_ref(house: &House) -> Self {
        Arc::clone(&house.control)
    }
}

/// The console's routes, the answer to unknown paths included.
pub fn router(control: Arc<dyn Control>, queue: Arc<dyn Queue>, archive: Arc<dyn Archive>) -> Router {
    Router::new()
        .route("/", get(pages::overview))
        .route("/messages/{id}", get(pages::message))
        .route("/find", get(pages::find))
        .route("/queue", get(queue::queue))
        .route("/queue/orders", post(queue::order).get(queue::after_order))
        .route("/archive", get(archive::archive))
        .route("/archive/holds", post(archive::hold).get(archive::after_order))
        .route("/archive/holds/lift", post(archive::lift).get(archive::after_order))
        .route("/assets/console.css", get(assets::style))
        .route("/assets/console.js", get(assets::script))
        .route("/assets/lock.svg", get(assets::icon))
        .fallback(pages::unknown)
        .with_state(House { control, queue, archive })
}
