//! `/api/v1/queue` and `/api/v1/audit`: the queue as JSON, and the only requests that change the gateway.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use control::{
    AuditView, DestinationList, HoldRule, HoldRules, OrderOutcome, Queue, QueueOrder, QueuePage, QueueQuery,
    RuleRemoval,
};

use super::problem::{self, Problem};

type House = State<Arc<dyn Queue>>;
type Answer<T> = Result<Json<T>, Problem>;

/// The routes below `/api`.
pub(super) fn router(queue: Arc<dyn Queue>) -> Router {
    let only = |route: MethodRouter<Arc<dyn Queue>>| route.fallback(problem::other_method);
    Router::new()
        .route("/v1/queue", only(get(list)))
        .route("/v1/queue/orders", only(post(order)))
        .route("/v1/queue/destinations", only(get(destinations)))
        .route("/v1/queue/rules", only(get(rules).post(add_rule)))
        .route("/v1/queue/rules/{name}", only(delete(remove_rule)))
        .route("/v1/audit", only(get(audit)))
        .with_state(queue)
}

async fn list(State(queue): House, query: Result<Query<QueueQuery>, QueryRejection>) -> Answer<QueuePage> {
    let Query(query) = query.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(queue.list(query).await?))
}

async fn order(State(queue): House, order: Result<Json<QueueOrder>, JsonRejection>) -> Answer<OrderOutcome> {
    let Json(order) = order.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(queue.order(order).await?))
}

async fn destinations(State(queue): House) -> Answer<DestinationList> {
    Ok(Json(queue.destinations().await?))
}

async fn rules(State(queue): House) -> Answer<HoldRules> {
    Ok(Json(queue.rules().await?))
}

async fn add_rule(State(queue): House, rule: Result<Json<HoldRule>, JsonRejection>) -> Answer<HoldRules> {
    let Json(rule) = rule.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(queue.add_rule(rule).await?))
}

async fn remove_rule(
    State(queue): House,
    name: Result<Path<String>, PathRejection>,
    removal: Result<Json<RuleRemoval>, JsonRejection>,
) -> Answer<HoldRules> {
    let Path(name) = name.map_err(|refused| bad(refused.body_text()))?;
    let Json(removal) = removal.map_err(|refused| bad(refused.body_text()))?;
    Ok(Json(queue.remove_rule(&name, removal).await?))
}

async fn audit(State(queue): House) -> Answer<AuditView> {
    Ok(Json(queue.audit().await?))
}

fn bad(why: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}
