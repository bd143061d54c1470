//! What a supervisor and a metrics collector ask, without a token: `/healthz`, `/readyz`, `/metrics`.
//!
//! These answers name partner domains and counts, never addresses or ids of messages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use control::{Check, Control};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::problem::Problem;
use crate::metrics::Metrics;

/// OpenMetrics 1.0, the format `prometheus-client` writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the probes look at.
#[derive(Clone)]
pub(super) struct Probes {
    pub(super) control: Arc<dyn Control>,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Metrics,
}

/// `/readyz`: [`control::Readiness`] with the missing parts in words first.
#[derive(Serialize)]
struct ReadyPage {
    ready: bool,
    missing: Vec<String>,
    checks: Vec<Check>,
}

pub(super) fn router(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

/// Liveness: the process turns. It asks no other part, so that a full disk does not cause a restart loop.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let readiness = probes.control.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let missing = readiness.missing().collect();
    (status, Json(ReadyPage { ready: readiness.ready, missing, checks: readiness.checks })).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Result<Response, Problem> {
    // When the journal does not answer, the counters still do: a scrape must not fail when it is needed most.
    match probes.control.overview().await {
        Ok(overview) => probes.metrics.show(&overview),
        Err(error) => tracing::warn!(%error, "metrics are shown without fresh queue depths"),
    }
    let mut page = String::new();
    encode(&mut page, &probes.registry)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written."))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response())
}
