//! One handler per page: ask, turn the answer into a view, render.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use control::{Control, ControlError, RECENT_LIMIT_DEFAULT, RecentQuery, normal_id};
use serde::Deserialize;

use crate::view::{
    Choice, ErrorPage, Filter, Frame, MessagePage, OverviewPage, Trace, escaped, message_href,
};
use crate::words::visible;

type House = State<Arc<dyn Control>>;

/// The query of the first page. A browser form sends empty values for what is not chosen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chosen {
    state: String,
    partner: String,
    before: String,
}

pub(crate) async fn overview(
    State(control): House,
    chosen: Result<Query<Chosen>, QueryRejection>,
) -> Response {
    let readiness = control.readiness().await;
    let Ok(Query(chosen)) = chosen else {
        return failed(
            Frame::new("", &readiness, ""),
            &ControlError::Bad("The filter is not readable.".to_owned()),
        );
    };
    let answer = async {
        let overview = control.overview().await?;
        let recent = control.recent(chosen.query()?).await?;
        Ok((overview, recent))
    };
    match answer.await {
        Ok((overview, recent)) => {
            let older = recent.next.as_deref().map(|cursor| chosen.href(&chosen.state, cursor));
            let frame = Frame::new(&overview.domain, &readiness, "");
            page(StatusCode::OK, &OverviewPage::new(frame, &overview, &recent, chosen.filter(), older))
        }
        Err(error) => failed(Frame::new("", &readiness, ""), &error),
    }
}

pub(crate) async fn message(State(control): House, id: Result<Path<String>, PathRejection>) -> Response {
    let readiness = control.readiness().await;
    let overview = control.overview().await.ok(); // the page of a message is worth showing without it
    let domain = overview.as_ref().map_or("", |overview| overview.domain.as_str());
    let Ok(Path(id)) = id else {
        let error = ControlError::Bad("The address of this page is not valid text.".to_owned());
        return failed(Frame::new(domain, &readiness, ""), &error);
    };
    let frame = Frame::new(domain, &readiness, &id);
    match control.message(&id).await {
        Ok(found) => {
            let now_ms = overview.as_ref().map(|overview| overview.now_ms);
            let traces = found.messages.iter().map(|trace| Trace::new(trace, now_ms)).collect();
            page(StatusCode::OK, &MessagePage { frame, traces })
        }
        Err(error) => failed(frame, &error),
    }
}

/// What the search box sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sought {
    id: String,
}

pub(crate) async fn find(Query(sought): Query<Sought>) -> Redirect {
    match normal_id(&sought.id) {
        "" => Redirect::to("/"),
        id => Redirect::to(&message_href(id)),
    }
}

pub(crate) async fn unknown(State(control): House) -> Response {
    let frame = Frame::new("", &control.readiness().await, "");
    failed(frame, &ControlError::NotFound("The console has no such page.".to_owned()))
}

impl Chosen {
    fn query(&self) -> Result<RecentQuery, ControlError> {
        let state = match self.state.as_str() {
            "" => None,
            word => {
                Some(word.parse().map_err(|unknown| ControlError::Bad(format!("“{word}” is {unknown}")))?)
            }
        };
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let (before, partner) = (given(&self.before), given(&self.partner));
        Ok(RecentQuery { limit: RECENT_LIMIT_DEFAULT, before, partner, state })
    }

    fn filter(&self) -> Filter {
        let choice =
            |name, state: &str| Choice { name, href: self.href(state, ""), chosen: self.state == state };
        let choices = vec![
            choice("All", ""),
            choice("Queued", "queued"),
            choice("Sent", "sent"),
            choice("Held", "held"),
            choice("Delivered", "delivered"),
            choice("Failed", "failed"),
            choice("Expired", "expired"),
        ];
        Filter {
            partner: visible(self.partner.trim()),
            state: self.state.clone(),
            choices,
            first_page: self.before.is_empty(),
        }
    }

    /// The first page with the same partner, another state, from another place on.
    fn href(&self, state: &str, before: &str) -> String {
        let given = [("state", state), ("partner", self.partner.trim()), ("before", before)];
        let pairs: Vec<String> = given
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        if pairs.is_empty() { "/".to_owned() } else { format!("/?{}", pairs.join("&")) }
    }
}

pub(crate) fn failed(frame: Frame, error: &ControlError) -> Response {
    let (status, title) = match error {
        ControlError::Bad(_) => (StatusCode::BAD_REQUEST, "This question makes no sense"),
        ControlError::NotFound(_) => (StatusCode::NOT_FOUND, "Nothing found"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "The gateway cannot answer now"),
    };
    let detail = visible(&error.to_string());
    page(status, &ErrorPage { frame, title, detail })
}

pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a console page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be rendered.\n").into_response()
        }
    }
}
