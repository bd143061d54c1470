//! `/api/v1`: the control API as JSON. One handler per question; the types are those of `control`.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use control::{
    AddressView, Control, IdentityQuery, IdentityView, Overview, PartnerList, RecentPage, RecentQuery, Traces,
};

use super::problem::{self, Problem};

type House = State<Arc<dyn Control>>;
type Answer<T> = Result<Json<T>, Problem>;

/// The routes below `/api`.
pub(super) fn router(control: Arc<dyn Control>) -> Router {
    let read_only = |route: MethodRouter<Arc<dyn Control>>| route.fallback(problem::read_only);
    Router::new()
        .route("/v1/overview", read_only(get(overview)))
        .route("/v1/partners", read_only(get(partners)))
        .route("/v1/addresses/{address}", read_only(get(address)))
        .route("/v1/identities/{did}", read_only(get(identity)))
        .route("/v1/messages", read_only(get(recent)))
        .route("/v1/messages/{id}", read_only(get(message)))
        .with_state(control)
}

async fn overview(State(control): House) -> Answer<Overview> {
    Ok(Json(control.overview().await?))
}

async fn partners(State(control): House) -> Answer<PartnerList> {
    Ok(Json(control.partners().await?))
}

async fn address(State(control): House, address: Result<Path<String>, PathRejection>) -> Answer<AddressView> {
    let Path(address) =
        address.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    Ok(Json(control.address(&address).await?))
}

async fn identity(
    State(control): House,
    did: Result<Path<String>, PathRejection>,
    query: Result<Query<IdentityQuery>, QueryRejection>,
) -> Answer<IdentityView> {
    let Path(did) = did.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    let Query(query) = query.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    Ok(Json(control.identity(&did, query).await?))
}

async fn recent(
    State(control): House,
    query: Result<Query<RecentQuery>, QueryRejection>,
) -> Answer<RecentPage> {
    let Query(query) = query.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    Ok(Json(control.recent(query).await?))
}

async fn message(State(control): House, id: Result<Path<String>, PathRejection>) -> Answer<Traces> {
    let Path(id) = id.map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.body_text()))?;
    Ok(Json(control.message(&id).await?))
}
