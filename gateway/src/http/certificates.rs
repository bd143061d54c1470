//! `/api/v1/certificates`: what our doors show, and the wish for a new certificate.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use control::{CertificateList, RenewalBegun, RenewalOrder};

use super::problem::{self, Problem};
use crate::certificates::Certificates;

type House = State<Arc<Certificates>>;

/// The routes below `/api`.
pub(super) fn router(certificates: Arc<Certificates>) -> Router {
    let only = |route: MethodRouter<Arc<Certificates>>| route.fallback(problem::other_method);
    Router::new()
        .route("/v1/certificates", only(get(list)))
        .route("/v1/certificates/renewals", only(post(renew)))
        .with_state(certificates)
}

async fn list(State(certificates): House) -> Json<CertificateList> {
    Json(certificates.list())
}

/// Answers before the authority does: that may take minutes, and the list tells of its end.
async fn renew(
    State(certificates): House,
    order: Result<Json<RenewalOrder>, JsonRejection>,
) -> Result<Json<RenewalBegun>, Problem> {
    let Json(order) = order.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    let nobody = "No certificate of this gateway comes from an authority (acme); whoever writes the files renews them.";
    certificates.renew(order).map(Json).ok_or_else(|| Problem::new(StatusCode::CONFLICT, nobody))
}
