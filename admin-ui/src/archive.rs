//! The archive: its page, and the forms that add and lift legal holds.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::{Archive, Caller, ControlError, HoldLift, LegalHold, day_begins, day_ends};
use serde::Deserialize;

use crate::House;
use crate::pages::{failed, page};
use crate::queue::frame;
use crate::view::archive::ArchivePage;

/// The form of a new hold. A browser sends empty values for what is not given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    name: String,
    addresses: String,
    from: String,
    to: String,
    why: String,
}

/// The form that lifts a hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lifted {
    name: String,
    why: String,
}

pub(crate) async fn archive(State(house): State<House>) -> Response {
    let frame = frame(&*house.control).await;
    match house.archive.view().await {
        Ok(view) => page(StatusCode::OK, &ArchivePage::new(frame, &view)),
        Err(error) => failed(frame, &error),
    }
}

pub(crate) async fn hold(
    State(house): State<House>,
    caller: Option<Extension<Caller>>,
    form: Result<Form<Wanted>, FormRejection>,
) -> Response {
    let done = match form {
        Ok(Form(wanted)) => add(&house.archive, wanted, name_of(caller)).await,
        Err(_) => Err(unreadable()),
    };
    after(&house, done).await
}

pub(crate) async fn lift(
    State(house): State<House>,
    caller: Option<Extension<Caller>>,
    form: Result<Form<Lifted>, FormRejection>,
) -> Response {
    let done = match form {
        Ok(Form(Lifted { name, why })) => {
            let lift = HoldLift { by: name_of(caller), why };
            house.archive.lift_hold(&name, lift).await.map(drop)
        }
        Err(_) => Err(unreadable()),
    };
    after(&house, done).await
}

/// A reload of a page of errors shows the archive.
pub(crate) async fn after_order() -> Redirect {
    Redirect::to("/archive")
}

async fn add(archive: &Arc<dyn Archive>, wanted: Wanted, by: String) -> Result<(), ControlError> {
    let is_between = |letter: char| letter.is_whitespace() || letter == ',' || letter == ';';
    let addresses = wanted.addresses.split(is_between).filter(|one| !one.is_empty());
    let hold = LegalHold {
        name: wanted.name.trim().to_owned(),
        addresses: addresses.map(str::to_owned).collect(),
        from_ms: day(&wanted.from, day_begins)?,
        until_ms: day(&wanted.to, day_ends)?,
        by,
        why: wanted.why,
    };
    archive.add_hold(hold).await.map(drop)
}

fn day(text: &str, read: fn(&str) -> Option<u64>) -> Result<Option<u64>, ControlError> {
    match text.trim() {
        "" => Ok(None),
        text => match read(text) {
            None => Err(ControlError::Bad("A day is written YYYY-MM-DD.".to_owned())),
            day => Ok(day),
        },
    }
}

/// A reload of the page that follows shows the archive; it does not give the order again.
async fn after(house: &House, done: Result<(), ControlError>) -> Response {
    match done {
        Ok(()) => Redirect::to("/archive").into_response(),
        Err(error) => failed(frame(&*house.control).await, &error),
    }
}

fn name_of(caller: Option<Extension<Caller>>) -> String {
    caller.map_or_else(|| "the console".to_owned(), |Extension(Caller(name))| name)
}

fn unreadable() -> ControlError {
    ControlError::Bad("The form is not readable.".to_owned())
}
