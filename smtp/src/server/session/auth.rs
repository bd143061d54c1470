//! `AUTH` (RFC 4954): when it may come, its lines, and what the client hears of the outcome.
//!
//! It is offered under TLS only, whatever the listener is for: half of the mechanisms show a password to whoever
//! listens. A response is a line of base64, `*` gives up, and everything else is an error that ends the exchange.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::command::Auth;
use super::line::{AUTH_LINE_OCTETS_MAX, Line, first_line};
use super::{Session, State, Step, replies};
use crate::reply::Reply;
use crate::sasl::{AuthRefusal, Exchange, Fault, Mechanism, ScramKeys, Turn};
use crate::server::Event;

/// Attempts of one session: a person mistypes a few times, and who guesses shall at least connect anew.
const FAILURES_MAX: u32 = 3;

impl Session {
    /// The mechanisms that are offered now.
    pub(super) fn mechanisms(&self) -> impl Iterator<Item = Mechanism> + '_ {
        let offered = self.client.tls.is_some() && self.client.user.is_none();
        self.config.auth.iter().copied().filter(move |_| offered)
    }

    pub(super) fn auth(&mut self, auth: Auth) -> Option<Step> {
        if let Some(refusal) = self.not_ready_for_auth() {
            return self.refuse(&refusal);
        }
        let offered = |mechanism: &Mechanism| self.config.auth.contains(mechanism);
        let Some(mechanism) = Mechanism::by_name(&auth.mechanism).filter(offered) else {
            return self.refuse(&replies::mechanism_unknown());
        };
        let exchange = Box::new(Exchange::begin(mechanism));
        let Some(initial) = auth.initial else {
            let opening = exchange.opening();
            return self.follow(exchange, Ok(Turn::Challenge(opening.to_vec())));
        };
        match initial.reveal() {
            "=" => self.hear(exchange, &[]), // an empty response (RFC 4954 §4)
            initial => self.hear_base64(exchange, initial.as_bytes()),
        }
    }

    /// The client's next response.
    pub(super) fn auth_line(&mut self, input: &[u8]) -> (usize, Option<Step>) {
        let line = match first_line(input, AUTH_LINE_OCTETS_MAX) {
            Line::Partial => return (0, Some(Step::Read)),
            Line::Overlong => {
                self.state = State::Overlong { skipped: 0, reply: replies::auth_line_too_long() };
                return (0, None);
            }
            Line::Complete(line) => line,
        };
        self.lines += 1;
        let after_line = line.len() + 2;
        let State::Auth(exchange) = std::mem::replace(&mut self.state, State::Command) else {
            return (after_line, None);
        };
        let step = match line {
            b"*" => self.refuse(&replies::auth_cancelled()),
            response => self.hear_base64(exchange, response),
        };
        (after_line, step)
    }

    /// The house's answer to [`Step::Authenticate`]: who it is.
    pub fn authenticated(&mut self, answer: Result<String, AuthRefusal>) {
        let Some(mut exchange) = self.asked_by() else { return };
        let turn = exchange.checked(answer);
        let _ = self.follow(exchange, turn); // the next step says what it comes to
    }

    /// The house's answer to [`Step::Scram`], and octets that nobody can foretell, at least 16 and at most 24.
    pub fn scram(&mut self, answer: Result<ScramKeys, AuthRefusal>, random: &[u8]) {
        let Some(mut exchange) = self.asked_by() else { return };
        let turn = exchange.keys(answer, random);
        let _ = self.follow(exchange, turn); // as above
    }

    fn asked_by(&mut self) -> Option<Box<Exchange>> {
        match std::mem::replace(&mut self.state, State::Command) {
            State::AuthAsked(exchange) => Some(exchange),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn hear_base64(&mut self, exchange: Box<Exchange>, response: &[u8]) -> Option<Step> {
        match BASE64.decode(response).map(Zeroizing::new) {
            Ok(response) => self.hear(exchange, &response),
            Err(_) => self.refuse(&replies::not_base64()),
        }
    }

    fn hear(&mut self, mut exchange: Box<Exchange>, response: &[u8]) -> Option<Step> {
        let turn = exchange.hear(response);
        self.follow(exchange, turn)
    }

    fn follow(&mut self, exchange: Box<Exchange>, turn: Result<Turn, Fault>) -> Option<Step> {
        let mechanism = exchange.mechanism();
        match turn {
            Ok(Turn::Challenge(challenge)) => {
                self.say(&replies::challenge(&BASE64.encode(challenge)));
                self.state = State::Auth(exchange);
                None
            }
            Ok(Turn::Check(credentials)) => {
                self.state = State::AuthAsked(exchange);
                Some(Step::Authenticate(credentials))
            }
            Ok(Turn::Keys(user)) => {
                self.state = State::AuthAsked(exchange);
                Some(Step::Scram(user))
            }
            Ok(Turn::Proven(user)) => {
                self.client.user = Some(user);
                self.events.push(Event::Authenticated { mechanism });
                self.say(&replies::authenticated());
                None
            }
            Err(Fault::Malformed) => self.refuse(&replies::auth_malformed()),
            Err(Fault::Refused(refusal)) => self.auth_failed(mechanism, refusal),
        }
    }

    fn auth_failed(&mut self, mechanism: Mechanism, refusal: AuthRefusal) -> Option<Step> {
        if refusal == AuthRefusal::Unavailable {
            self.say(&replies::auth_unavailable()); // says nothing about the client
            return None;
        }
        self.events.push(Event::AuthenticationFailed { mechanism });
        self.say(&match refusal {
            AuthRefusal::NotHere => replies::mechanism_unknown(),
            AuthRefusal::Wrong | AuthRefusal::Unavailable => replies::credentials_invalid(),
        });
        self.auth_failures += 1;
        if self.auth_failures >= FAILURES_MAX { self.unwelcome() } else { None }
    }

    fn not_ready_for_auth(&self) -> Option<Reply> {
        if self.config.auth.is_empty() {
            Some(replies::not_implemented())
        } else if !self.client.esmtp {
            Some(replies::hello_first())
        } else if self.client.user.is_some() {
            Some(replies::authenticated_already())
        } else if self.envelope.is_some() {
            Some(replies::auth_in_transaction())
        } else if self.client.tls.is_none() {
            Some(replies::auth_needs_tls())
        } else {
            None
        }
    }
}
