//! The server: how many connections it holds, and what each may take.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{Pace, converse, serve_each};
use super::{HttpState, router};

/// Bounds of the server, in one value so that tests can make time short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once: a console, a collector and a few scripts need ten.
    pub(super) connections_max: usize,
    /// What each of them may take.
    pub(super) pace: Pace,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 64,
            pace: Pace {
                header_bytes_max: 32 * 1024,
                header_time_max: Duration::from_secs(10),
                age_max: Duration::from_secs(300),
                grace: Duration::from_secs(5),
            },
        }
    }
}

impl Limits {
    /// For a room whose answers may take as long as `patience`, for many who wait at once.
    pub(super) fn patient(patience: Duration) -> Self {
        let Self { pace, .. } = Self::default();
        let pace = Pace { grace: patience + pace.grace, ..pace };
        Self { connections_max: PATIENT_CONNECTIONS_MAX, pace }
    }
}

/// Connections of clients that wait: each costs a task and a few kilobytes.
const PATIENT_CONNECTIONS_MAX: usize = 1_024;

/// Serves until `stop` is cancelled; returns when every connection is closed, at most five seconds later.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    serve_within(listener, router(state), stop, Limits::default()).await;
}

pub(super) async fn serve_within(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
    limits: Limits,
) {
    serve_each(listener, limits.connections_max, &stop, |stream, _| {
        let service = TowerToHyperService::new(app.clone());
        Some(converse(TokioIo::new(stream), service, stop.clone(), limits.pace))
    })
    .await;
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
