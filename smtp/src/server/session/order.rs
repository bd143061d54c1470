//! What each command does, and in which order they may come (RFC 5321 §3.3 and §4.1.4).

use super::command::{Command, Forward, Mail, Recipient};
use super::{Envelope, Session, State, Step, replies};
use crate::reply::Reply;
use crate::sasl::Mechanism;
use crate::server::{Closed, Event, RcptTo, Role};

impl Session {
    /// Obeys one well-formed command.
    pub(super) fn obey(&mut self, command: Command) -> Option<Step> {
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail(mail) => return self.mail(mail),
            Command::Recipient(to) => return self.recipient(to),
            Command::Data => return self.data(),
            Command::Chunk { octets, last } => return self.chunk(octets, last),
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
            Command::Auth(auth) => return self.auth(auth),
            Command::Http => return self.unwelcome(),
        }
        None
    }

    fn hello(&mut self, name: String, esmtp: bool) {
        self.envelope = None; // RFC 5321 §4.1.4: EHLO also resets
        self.client.hello = name;
        self.client.esmtp = esmtp;
        let hostname = &self.config.hostname;
        let reply = if esmtp { replies::ehlo(hostname, &self.extensions()) } else { replies::helo(hostname) };
        self.say(&reply);
    }

    /// What is offered now, in the words of EHLO.
    fn extensions(&self) -> Vec<String> {
        let secured = self.client.tls.is_some();
        let size = format!("SIZE {}", self.config.size_max);
        let mut offered = vec!["PIPELINING", &size, "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"];
        offered.extend(["DSN", "CHUNKING"]);
        if secured {
            offered.push("REQUIRETLS"); // RFC 8689 §2: never in clear text
        } else if self.config.tls.is_some() {
            offered.push("STARTTLS");
        }
        let mut offered: Vec<String> = offered.into_iter().map(str::to_owned).collect();
        let mechanisms: Vec<&str> = self.mechanisms().map(Mechanism::name).collect();
        if !mechanisms.is_empty() {
            offered.push(format!("AUTH {}", mechanisms.join(" ")));
        }
        offered
    }

    fn mail(&mut self, mail: Mail) -> Option<Step> {
        if let Some(refusal) = self.not_ready_for_mail(&mail) {
            return self.refuse(&refusal);
        }
        let mail = mail.from;
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
        let (size, smtputf8) = (mail.size, mail.smtputf8);
        self.envelope = Some(Envelope { size, smtputf8, asked: 0, accepted: 0, chunks: None });
        self.state = State::Asked;
        Some(Step::Mail(mail))
    }

    /// Why no transaction may begin with this command.
    fn not_ready_for_mail(&self, mail: &Mail) -> Option<Reply> {
        if self.client.hello.is_empty() {
            return Some(replies::hello_first());
        }
        if self.config.role == Role::Submission && self.client.user.is_none() {
            return Some(replies::authentication_required()); // RFC 6409 §4.3
        }
        if self.envelope.is_some() {
            return Some(replies::nested_mail());
        }
        if mail.parameters && !self.client.esmtp {
            return Some(replies::parameters_need_ehlo());
        }
        if mail.auth && (self.config.auth.is_empty() || self.client.tls.is_none()) {
            return Some(replies::unknown_parameter("AUTH"));
        }
        match (mail.from.require_tls, &self.client.tls, &self.config.tls) {
            (true, None, Some(_)) => Some(replies::require_tls_needs_tls()),
            (true, None, None) => Some(replies::require_tls_impossible()),
            _ => None,
        }
    }

    fn recipient(&mut self, recipient: Recipient) -> Option<Step> {
        let Some(envelope) = &mut self.envelope else {
            return self.refuse(&replies::mail_first());
        };
        if envelope.chunks.is_some() {
            return self.refuse(&replies::chunks_begun());
        }
        if recipient.parameters && !self.client.esmtp {
            return self.refuse(&replies::parameters_need_ehlo());
        }
        if !recipient.ascii && !envelope.smtputf8 {
            return self.refuse(&replies::needs_smtputf8());
        }
        let address = match recipient.to {
            Forward::Address(address) => address,
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
        Some(Step::Recipient(RcptTo { address, notify: recipient.notify, orcpt: recipient.orcpt }))
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
