//! The gateway's HTTP side: health, metrics, the control API and the console, on one loopback port.
//!
//! ```text
//! TcpListener ─► server   connection limit, header timeout, age, graceful stop (connection)
//!                 ─► guard    Host check ─► body limit ─► deadline ─► security headers
//!                     ├─ probes   /healthz /readyz /metrics           open
//!                     ├─ api      /api/v1/…                           token, origin
//!                     ├─ queue    /api/v1/queue/… /api/v1/audit       token, origin
//!                     ├─ certificates /api/v1/certificates/…          token, origin
//!                     ├─ archive  /api/v1/archive/…                   token, origin
//!                     └─ admin_ui /  /messages/{id}  /queue  /archive token, origin
//!                          └─► dyn Control ◄─ answers (journal, vault, partners, links)
//! ```
//!
//! Invariants: everything but the probes needs the token, the fallback for unknown paths included; no answer
//! is cached by anybody; only `POST` and `DELETE` below queue, archive and certificates change anything, and never at the wish of another web
//! page (`origin`); every refusal is a problem document (RFC 9457).
//!
//! Deliberately absent: TLS and user accounts. The port is bound to loopback; whoever needs it from elsewhere
//! puts a reverse proxy in front and names its host in the configuration.

mod answers;
mod api;
mod archive;
mod certificates;
pub(crate) mod connection;
mod guard;
mod origin;
mod probes;
mod problem;
mod queue;
mod server;
mod traces;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use control::{Archive, Control, Queue};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::certificates::Certificates;
use crate::metrics::Metrics;

pub use answers::{Answers, FallenWorkers, Identify, Seek, Vouch};
pub use problem::Problem;
pub use server::serve;

/// What the HTTP side needs from the house.
pub struct HttpState {
    /// Answers the questions.
    pub control: Arc<dyn Control>,
    /// Shows and moves what waits.
    pub queue: Arc<dyn Queue>,
    /// Shows the archive, and keeps legal holds.
    pub archive: Arc<dyn Archive>,
    /// What our doors show.
    pub certificates: Arc<Certificates>,
    /// Everything that is exported at `/metrics`; complete before the server starts.
    pub registry: Arc<Registry>,
    /// Whose gauges are drawn from an overview before each scrape.
    pub metrics: Metrics,
    /// Opens the API and the console. An empty token opens nothing.
    pub token: Zeroizing<String>,
    /// Names beside the loopback ones under which this server may be asked, without port.
    pub hosts: Vec<String>,
}

/// Serves the routes of another room, which has a token and bounds of bodies of its own, on a loopback listener: behind the
/// same Host check, with the same headers, and with `patience` for answers that take their time.
pub(crate) async fn serve_room(
    listener: TcpListener,
    routes: Router,
    patience: Duration,
    stop: CancellationToken,
) {
    let app = routes
        .layer(from_fn_with_state(guard::Hosts::new(Vec::new()), guard::host))
        .layer(from_fn(guard::security_headers));
    server::serve_within(listener, app, stop, server::Limits::patient(patience)).await;
}

/// All routes with their guards. [`serve`] puts them on a listener; tests call them directly.
pub fn router(state: HttpState) -> Router {
    let HttpState { control, queue, archive, certificates, registry, metrics, token, hosts } = state;
    let probes = probes::router(probes::Probes { control: Arc::clone(&control), registry, metrics });
    let guarded = Router::new()
        .nest(
            "/api",
            api::router(Arc::clone(&control))
                .merge(queue::router(Arc::clone(&queue)))
                .merge(archive::router(Arc::clone(&archive)))
                .merge(certificates::router(certificates))
                .fallback(problem::not_found),
        )
        .route("/api/", any(problem::not_found)) // the one path a nested router does not answer
        .merge(admin_ui::router(control, queue, archive))
        .layer(from_fn(origin::own_pages_only))
        .layer(from_fn_with_state(guard::Token::new(&token), guard::token));
    Router::new()
        .merge(probes)
        .merge(guarded)
        .layer(from_fn(guard::deadline))
        .layer(from_fn(guard::body_limit))
        .layer(from_fn_with_state(guard::Hosts::new(hosts), guard::host))
        .layer(from_fn(guard::security_headers))
}
