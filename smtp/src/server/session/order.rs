//! What each command does, and in which order they may come (RFC 5321 §3.3 and §4.1.4).

use super::command::{Command, Forward};
use super::content::{Content, Fault};
use super::{Body, Envelope, Session, State, Step, replies};
use crate::server::{Closed, Event, MailFrom, Notify, RcptTo};

impl Session {
    /// Obeys one well-formed command.
    pub(super) fn obey(&mut self, command: Command) -> Option<Step> {
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail { mail, parameters } => return self.mail(mail, parameters),
            Command::Recipient(to) => return self.recipient(to),
            Command::Data => return self.data(),
            Command::Reset => {
                self.envelope = None;
                self.say(&replies::ok());
            }
            Command::Noop => self.say(&replies::ok()),
            Command::Verify => self.say(&replies::cannot_verify()),
            Command::Help => self.say(&replies::help()),
            Command::Quit => {
                self.say(&replies::bye(&self.config.hostname));
                return self.over(Closed::Quit);
            }
            Command::StartTls => return self.start_tls(),
            Command::Http => return self.unwelcome(),
        }
        None
    }

    fn hello(&mut self, name: String, esmtp: bool) {
        self.envelope = None; // RFC 5321 §4.1.4: EHLO also resets
        self.client.hello = name;
        self.client.esmtp = esmtp;
        let config = &self.config;
        let starttls = config.tls.is_some() && self.client.tls.is_none();
        let reply = if esmtp {
            replies::ehlo(&config.hostname, config.size_max, starttls)
        } else {
            replies::helo(&config.hostname)
        };
        self.say(&reply);
    }

    fn mail(&mut self, mail: MailFrom, parameters: bool) -> Option<Step> {
        if self.client.hello.is_empty() {
            return self.refuse(&replies::hello_first());
        }
        if self.envelope.is_some() {
            return self.refuse(&replies::nested_mail());
        }
        if parameters && !self.client.esmtp {
            return self.refuse(&replies::parameters_need_ehlo());
        }
        if let Some(declared) = mail.size {
            if declared > self.config.size_max {
                self.events.push(Event::MessageTooLarge);
                self.say(&replies::declared_too_large(declared, self.config.size_max));
                return None; // RFC 1870 §6.1: a right question, not an error
            }
            if usize::try_from(declared).is_ok_and(|declared| declared > self.budget.free()) {
                self.events.push(Event::MemoryExhausted);
                self.say(&replies::no_memory());
                return None;
            }
        }
        self.envelope = Some(Envelope { size: mail.size, smtputf8: mail.smtputf8, asked: 0, accepted: 0 });
        self.state = State::Asked;
        Some(Step::Mail(mail))
    }

    fn recipient(&mut self, to: Forward) -> Option<Step> {
        let Some(envelope) = &mut self.envelope else {
            return self.refuse(&replies::mail_first());
        };
        let to = match to {
            Forward::Address(address) if address.is_ascii() || envelope.smtputf8 => address,
            Forward::Address(_) => return self.refuse(&replies::needs_smtputf8()),
            Forward::Postmaster => match format!("postmaster@{}", self.config.hostname).parse() {
                Ok(address) => address,
                Err(error) => return self.refuse(&replies::bad_recipient(error)),
            },
        };
        if envelope.asked >= self.config.limits.recipients_max {
            self.say(&replies::too_many_recipients(self.config.limits.recipients_max));
            return None; // the client may not know our limit
        }
        envelope.asked += 1;
        self.commands = self.commands.saturating_sub(1); // bounded by recipients_max instead
        self.state = State::Asked;
        Some(Step::Recipient(RcptTo { address: to, notify: Notify::Unspecified, orcpt: None }))
    }

    fn data(&mut self) -> Option<Step> {
        let Some(envelope) = &self.envelope else {
            return self.refuse(&replies::mail_first());
        };
        if envelope.asked == 0 {
            return self.refuse(&replies::recipient_first());
        }
        if envelope.accepted == 0 {
            self.say(&replies::no_valid_recipients()); // RFC 2920 §3.1: follows from the RCPT replies
            return None;
        }
        let content = Content::new(self.config.size_max, envelope.size, self.budget.grant());
        self.state = State::Content(Box::new(content));
        self.say(&replies::go_ahead());
        None
    }

    /// The final dot was read: the house gets the message, or the client hears why not.
    pub(super) fn message_ended(&mut self) -> Option<Step> {
        let State::Content(content) = std::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        let fault = match content.complete() {
            Ok((octets, grant)) => {
                self.state = State::Asked;
                return Some(Step::Message(Body { octets, grant }));
            }
            Err(fault) => fault,
        };
        self.envelope = None;
        let (event, reply) = match fault {
            Fault::BareLineEnd { line } => {
                self.errors += 1;
                (Event::BareLineEnd { in_message: true }, replies::bare_line_end_in_message(line))
            }
            Fault::TooLarge { octets } => {
                (Event::MessageTooLarge, replies::too_large(octets, self.config.size_max))
            }
            Fault::NoMemory => (Event::MemoryExhausted, replies::no_memory()),
        };
        self.events.push(event);
        self.say(&reply);
        if self.errors > self.config.limits.errors_max { self.unwelcome() } else { None }
    }

    fn start_tls(&mut self) -> Option<Step> {
        if self.config.tls.is_none() {
            return self.refuse(&replies::tls_not_offered());
        }
        if self.client.tls.is_some() {
            return self.refuse(&replies::tls_already());
        }
        self.envelope = None;
        self.state = State::Asked;
        self.say(&replies::ready_for_tls());
        Some(Step::StartTls)
    }
}
