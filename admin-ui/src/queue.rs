//! The queue: its page, and the form that orders.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use control::{Caller, Control, ControlError, Queue, QueueAct, QueueOrder, QueueQuery};
use serde::Deserialize;

use crate::House;
use crate::pages::{failed, page};
use crate::view::queue::{Destination, Field, OrderedPage, QueuePage, Rule, lines};
use crate::view::{Choice, Frame, escaped};
use crate::words::visible;

/// Rows that one form may name: as many as a page shows.
const CHOSEN_MAX: usize = 100;

/// The query of the page. A browser form sends empty values for what is not chosen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chosen {
    state: String,
    destination: String,
    sender: String,
    recipient: String,
    after: String,
}

pub(crate) async fn queue(
    State(house): State<House>,
    chosen: Result<Query<Chosen>, QueryRejection>,
) -> Response {
    let frame = frame(&*house.control).await;
    let Ok(Query(chosen)) = chosen else {
        return failed(frame, &ControlError::Bad("The filter is not readable.".to_owned()));
    };
    match shown(&house, frame.clone(), &chosen).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(error) => failed(frame, &error),
    }
}

/// A reload of the page that followed an order shows the queue; it does not give the order again.
pub(crate) async fn after_order() -> Redirect {
    Redirect::to("/queue")
}

pub(crate) async fn order(
    State(house): State<House>,
    caller: Option<Extension<Caller>>,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let frame = frame(&*house.control).await;
    let by = caller.map_or_else(|| "the console".to_owned(), |Extension(Caller(name))| name);
    let ordered = match form {
        Ok(Form(fields)) => obey(&*house.queue, &fields, &by).await,
        Err(_) => Err(ControlError::Bad("The form is not readable.".to_owned())),
    };
    match ordered {
        Ok((act, outcomes)) => page(StatusCode::OK, &OrderedPage::new(frame, act.as_str(), &outcomes)),
        Err(error) => failed(frame, &error),
    }
}

type Obeyed = (QueueAct, Vec<control::OrderOutcome>);

/// One order per row, so that each answers for itself.
async fn obey(queue: &dyn Queue, fields: &[(String, String)], by: &str) -> Result<Obeyed, ControlError> {
    let all = |wanted: &str| {
        let named = fields.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
    };
    let one = |wanted| all(wanted).into_iter().next().unwrap_or_default();
    let act: QueueAct =
        one("act").parse().map_err(|unknown| ControlError::Bad(format!("The act is {unknown}.")))?;
    let rows = all("row");
    if rows.is_empty() || rows.len() > CHOSEN_MAX {
        return Err(ControlError::Bad(format!("Choose 1 to {CHOSEN_MAX} messages.")));
    }
    let next_hop = Some(one("next_hop")).filter(|hop| act == QueueAct::Reroute && !hop.is_empty());
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let (which, why) = (QueueQuery::of_id(&row), one("why"));
        let order = QueueOrder { act, which, by: by.to_owned(), why, next_hop: next_hop.clone() };
        outcomes.push(queue.order(order).await?);
    }
    Ok((act, outcomes))
}

async fn shown(house: &House, frame: Frame, chosen: &Chosen) -> Result<QueuePage, ControlError> {
    let now_ms = house.control.overview().await?.now_ms;
    let found = house.queue.list(chosen.query()?).await?;
    let places = house.queue.destinations().await?;
    let rules = house.queue.rules().await?;
    let destinations = places.destinations.iter().map(|place| {
        let href = Chosen { destination: place.name.clone(), ..Chosen::default() }.href("", "");
        Destination::new(place, href, now_ms)
    });
    Ok(QueuePage {
        frame,
        destinations: destinations.collect(),
        rules: rules.rules.iter().map(Rule::new).collect(),
        fields: chosen.fields(),
        states: chosen.states(),
        rows: lines(&found, now_ms),
        narrow: chosen.is_narrow(),
        more: found.next.map(|next| chosen.href(&chosen.state, &next)),
    })
}

pub(crate) async fn frame(control: &dyn Control) -> Frame {
    let domain = control.overview().await.map(|overview| overview.domain).unwrap_or_default();
    Frame::new(&domain, &control.readiness().await, "")
}

impl Chosen {
    fn query(&self) -> Result<QueueQuery, ControlError> {
        let state = match self.state.as_str() {
            "" => None,
            word => {
                Some(word.parse().map_err(|unknown| ControlError::Bad(format!("“{word}” is {unknown}")))?)
            }
        };
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        Ok(QueueQuery {
            state,
            destination: given(&self.destination),
            sender: given(&self.sender),
            recipient: given(&self.recipient),
            after: given(&self.after),
            ..QueueQuery::default()
        })
    }

    fn fields(&self) -> Vec<Field> {
        let field = |name, label, value: &str| Field { name, label, value: visible(value) };
        vec![
            field("destination", "Destination", &self.destination),
            field("sender", "From (address or domain)", &self.sender),
            field("recipient", "To (address or domain)", &self.recipient),
        ]
    }

    fn states(&self) -> Vec<Choice> {
        let choice =
            |name, state: &str| Choice { name, href: self.href(state, ""), chosen: self.state == state };
        vec![choice("All", ""), choice("Queued", "queued"), choice("Sent", "sent"), choice("Held", "held")]
    }

    fn is_narrow(&self) -> bool {
        [&self.state, &self.destination, &self.sender, &self.recipient].iter().any(|text| !text.is_empty())
    }

    fn href(&self, state: &str, after: &str) -> String {
        let given = [
            ("state", state),
            ("destination", self.destination.trim()),
            ("sender", self.sender.trim()),
            ("recipient", self.recipient.trim()),
            ("after", after),
        ];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        if pairs.is_empty() { "/queue".to_owned() } else { format!("/queue?{}", pairs.join("&")) }
    }
}
