//! Facts become a Cedar request. Everything that does not change from mail to mail is built once, in [`Words`].

use std::collections::{HashMap, HashSet};
use std::error::Error;

use cedar_policy::{
    ActionConstraint, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, Request,
    RestrictedExpression as Value,
};

use crate::facts::{Destination, Direction, MailFacts, PartnerStanding, RecipientFacts, SenderStanding};

/// The four questions of `words.cedarschema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    RcptOut,
    MailOut,
    RcptIn,
    MailIn,
}

impl Question {
    pub(crate) const ALL: [Self; 4] = [Self::RcptOut, Self::MailOut, Self::RcptIn, Self::MailIn];

    pub(crate) fn of_recipient(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::RcptOut,
            Direction::Inbound => Self::RcptIn,
        }
    }

    pub(crate) fn of_mail(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::MailOut,
            Direction::Inbound => Self::MailIn,
        }
    }

    pub(crate) fn is_about_mail(self) -> bool {
        matches!(self, Self::MailOut | Self::MailIn)
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::RcptOut => ("rcpt-out", "out"),
            Self::MailOut => ("mail-out", "out"),
            Self::RcptIn => ("rcpt-in", "in"),
            Self::MailIn => ("mail-in", "in"),
        }
    }
}

/// A question in Cedar's terms.
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

/// Cedar could not even be asked. Nothing in this crate makes it happen; if it does, the judge refuses.
pub(crate) type Unaskable = Box<dyn Error>;

/// Names that every question uses.
pub(crate) struct Words {
    sender: EntityTypeName,
    recipient: EntityTypeName,
    mail: EntityTypeName,
    standing: EntityTypeName,
    place: EntityTypeName,
    actions: [Action; Question::ALL.len()],
}

/// An action with the group it belongs to.
struct Action {
    uid: EntityUid,
    group: EntityUid,
    entity: Entity,
}

impl Words {
    pub(crate) fn new() -> Result<Self, Unaskable> {
        let action_type: EntityTypeName = "Action".parse()?;
        let action = |question: Question| {
            let (name, group) = question.names();
            let uid = named(&action_type, name);
            let group = named(&action_type, group);
            let entity = Entity::new_no_attrs(uid.clone(), HashSet::from([group.clone()]));
            Action { uid, group, entity }
        };
        Ok(Self {
            sender: "Sender".parse()?,
            recipient: "Recipient".parse()?,
            mail: "Mail".parse()?,
            standing: "Standing".parse()?,
            place: "Place".parse()?,
            actions: Question::ALL.map(action),
        })
    }

    /// Whether a policy's head lets it speak to this question. When in doubt it does: a slice may hold too many rules,
    /// never too few.
    pub(crate) fn concerns(&self, policy: &Policy, question: Question) -> bool {
        let action = self.action(question);
        let is_it = |uid: &EntityUid| *uid == action.uid || *uid == action.group;
        match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => is_it(&uid),
            ActionConstraint::In(uids) => uids.iter().any(is_it),
        }
    }

    pub(crate) fn ask_recipient(&self, facts: &RecipientFacts<'_>) -> Result<Asked, Unaskable> {
        let address = facts.recipient.to_lowercase();
        let mut attributes = self.destination(facts.destination);
        attributes.insert("address".to_owned(), text(&address));
        attributes.insert("domain".to_owned(), text(&facts.recipient_domain.to_lowercase()));
        let recipient = Entity::new(named(&self.recipient, &address), attributes, HashSet::new())?;
        let sender = self.sender(facts.sender, facts.sender_standing)?;
        let trusted = facts.client_trusted;
        self.ask(Question::of_recipient(facts.direction), sender, recipient, facts.direction, trusted)
    }

    pub(crate) fn ask_mail(&self, facts: &MailFacts<'_>) -> Result<Asked, Unaskable> {
        let mut attributes = self.destination(facts.destination);
        attributes.insert("recipients".to_owned(), number(facts.recipients as u64));
        // One below the top for the limit: a size too large for Cedar's numbers then still exceeds it.
        attributes.insert("size".to_owned(), number(facts.size));
        attributes.insert("size_max".to_owned(), number(facts.size_max.min(i64::MAX as u64 - 1)));
        attributes.insert("content_type".to_owned(), text(&facts.content_type.to_lowercase()));
        let mail = Entity::new(named(&self.mail, "this"), attributes, HashSet::new())?;
        let sender = self.sender(facts.sender, facts.sender_standing)?;
        self.ask(Question::of_mail(facts.direction), sender, mail, facts.direction, facts.client_trusted)
    }

    fn ask(
        &self,
        question: Question,
        sender: Entity,
        resource: Entity,
        direction: Direction,
        client_trusted: bool,
    ) -> Result<Asked, Unaskable> {
        let outbound = direction == Direction::Outbound;
        let context = Context::from_pairs([
            ("trusted_client".to_owned(), Value::new_bool(outbound && client_trusted)),
            ("sealed".to_owned(), Value::new_bool(outbound)),
        ])?;
        let action = self.action(question);
        let request = Request::new(sender.uid(), action.uid.clone(), resource.uid(), context, None)?;
        let entities = Entities::from_entities([action.entity.clone(), sender, resource], None)?;
        Ok(Asked { question, request, entities })
    }

    fn sender(&self, address: &str, standing: SenderStanding) -> Result<Entity, Unaskable> {
        let address = address.to_lowercase();
        let domain = address.rsplit_once('@').map_or("", |(_local, domain)| domain);
        let standing = match standing {
            SenderStanding::Ours => "ours",
            SenderStanding::Null => "null",
            SenderStanding::Foreign => "foreign",
            SenderStanding::ThePartner => "partner",
        };
        let attributes = HashMap::from([
            ("address".to_owned(), text(&address)),
            ("domain".to_owned(), text(domain)),
            ("standing".to_owned(), Value::new_entity_uid(named(&self.standing, standing))),
        ]);
        Ok(Entity::new(named(&self.sender, &address), attributes, HashSet::new())?)
    }

    fn destination(&self, destination: Destination<'_>) -> HashMap<String, Value> {
        let (place, partner, conflict) = match destination {
            Destination::Ours => ("ours", "", false),
            Destination::Partner { did, standing } => {
                ("partner", did.as_str(), standing == PartnerStanding::Conflict)
            }
            Destination::Unknown => ("unknown", "", false),
        };
        HashMap::from([
            ("place".to_owned(), Value::new_entity_uid(named(&self.place, place))),
            ("partner".to_owned(), text(partner)),
            ("conflict".to_owned(), Value::new_bool(conflict)),
        ])
    }

    fn action(&self, question: Question) -> &Action {
        let [rcpt_out, mail_out, rcpt_in, mail_in] = &self.actions;
        match question {
            Question::RcptOut => rcpt_out,
            Question::MailOut => mail_out,
            Question::RcptIn => rcpt_in,
            Question::MailIn => mail_in,
        }
    }
}

fn named(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

/// Cedar counts in `i64`; what does not fit is as large as can be.
fn number(value: u64) -> Value {
    Value::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}
