//! `/api/v1/archive`: the archive as JSON, and the orders about legal holds.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use control::{Archive, ArchivePage, ArchiveQuery, ArchiveView, HoldLift, LegalHold};

use super::problem::{self, Problem};

type House = State<Arc<dyn Archive>>;
type Answer<T> = Result<Json<T>, Problem>;

/// The routes below `/api`.
pub(super) fn router(archive: Arc<dyn Archive>) -> Router {
    let only = |route: MethodRouter<Arc<dyn Archive>>| route.fallback(problem::other_method);
    Router::new()
        .route("/v1/archive", only(get(view)))
        .route("/v1/archive/copies", only(get(list)))
        .route("/v1/archive/holds", only(post(add_hold)))
        .route("/v1/archive/holds/{name}", only(delete(lift_hold)))
        .with_state(archive)
}

async fn view(State(archive): House) -> Answer<ArchiveView> {
    Ok(Json(archive.view().await?))
}

async fn list(
    State(archive): House,
    query: Result<Query<ArchiveQuery>, QueryRejection>,
) -> Answer<ArchivePage> {
    let Query(query) = query.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(archive.list(query).await?))
}

async fn add_hold(
    State(archive): House,
    hold: Result<Json<LegalHold>, JsonRejection>,
) -> Answer<ArchiveView> {
    let Json(hold) = hold.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(archive.add_hold(hold).await?))
}

async fn lift_hold(
    State(archive): House,
    name: Result<Path<String>, PathRejection>,
    lift: Result<Json<HoldLift>, JsonRejection>,
) -> Answer<ArchiveView> {
    let Path(name) = name.map_err(|refused| bad(refused.body_text()))?;
    let Json(lift) = lift.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(archive.lift_hold(&name, lift).await?))
}

fn bad(why: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}
