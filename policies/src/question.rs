//! Facts become a Cedar request. Everything that does not change from mail to mail is built once, in [`Words`].

use std::collections::{HashMap, HashSet};
use std::error::Error;

use cedar_policy::{
    ActionConstraint, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, Request,
    RestrictedExpression as Value,
};

use crate::facts::{
    Authenticity, Client, Demand, Destination, Direction, DmarcPolicy, Finding, MailFacts, PartnerStanding,
    RecipientFacts, Role, SenderStanding,
};

/// The six questions of `words.cedarschema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    RcptOut,
    MailOut,
    RcptIn,
    MailIn,
    RcptHome,
    MailHome,
}

impl Question {
    pub(crate) const ALL: [Self; 6] =
        [Self::RcptOut, Self::MailOut, Self::RcptIn, Self::MailIn, Self::RcptHome, Self::MailHome];

    pub(crate) fn of_recipient(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::RcptOut,
            Direction::Inbound => Self::RcptIn,
            Direction::FromOutside => Self::RcptHome,
        }
    }

    pub(crate) fn of_mail(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::MailOut,
            Direction::Inbound => Self::MailIn,
            Direction::FromOutside => Self::MailHome,
        }
    }

    pub(crate) fn is_about_mail(self) -> bool {
        matches!(self, Self::MailOut | Self::MailIn | Self::MailHome)
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::RcptOut => ("rcpt-out", "out"),
            Self::MailOut => ("mail-out", "out"),
            Self::RcptIn => ("rcpt-in", "in"),
            Self::MailIn => ("mail-in", "in"),
            Self::RcptHome => ("rcpt-home", "home"),
            Self::MailHome => ("mail-home", "home"),
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
    role: EntityTypeName,
    demand: EntityTypeName,
    finding: EntityTypeName,
    dmarc_policy: EntityTypeName,
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
            role: "Role".parse()?,
            demand: "Demand".parse()?,
            finding: "Finding".parse()?,
            dmarc_policy: "DmarcPolicy".parse()?,
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
        attributes.insert("must_encrypt".to_owned(), Value::new_bool(facts.marks.must_encrypt));
        let recipient = Entity::new(named(&self.recipient, &address), attributes, HashSet::new())?;
        let sender = self.sender(facts.sender, facts.sender_standing)?;
        let way = self.way(facts.direction, facts.destination, &facts.client, facts.outside)?;
        self.ask(Question::of_recipient(facts.direction), sender, recipient, way)
    }

    pub(crate) fn ask_mail(&self, facts: &MailFacts<'_>) -> Result<Asked, Unaskable> {
        let mut attributes = self.destination(facts.destination);
        attributes.insert("recipients".to_owned(), number(facts.recipients as u64));
        // One below the top for the limit: a size too large for Cedar's numbers then still exceeds it.
        attributes.insert("size".to_owned(), number(facts.size));
        attributes.insert("size_max".to_owned(), number(facts.size_max.min(i64::MAX as u64 - 1)));
        attributes.insert("content_type".to_owned(), text(&facts.content_type.to_lowercase()));
        attributes.insert("must_encrypt".to_owned(), Value::new_bool(facts.marks.must_encrypt));
        attributes.insert("owns_from".to_owned(), Value::new_bool(facts.owns_from));
        attributes.insert("require_tls".to_owned(), Value::new_bool(facts.require_tls));
        attributes.extend(self.authenticity(facts.authenticity));
        let mail = Entity::new(named(&self.mail, "this"), attributes, HashSet::new())?;
        let sender = self.sender(facts.sender, facts.sender_standing)?;
        let way = self.way(facts.direction, facts.destination, &facts.client, facts.outside)?;
        self.ask(Question::of_mail(facts.direction), sender, mail, way)
    }

    fn ask(
        &self,
        question: Question,
        sender: Entity,
        resource: Entity,
        way: Context,
    ) -> Result<Asked, Unaskable> {
        let action = self.action(question);
        let request = Request::new(sender.uid(), action.uid.clone(), resource.uid(), way, None)?;
        let entities = Entities::from_entities([action.entity.clone(), sender, resource], None)?;
        Ok(Asked { question, request, entities })
    }

    fn way(
        &self,
        direction: Direction,
        destination: Destination<'_>,
        client: &Client<'_>,
        outside: Option<Demand>,
    ) -> Result<Context, Unaskable> {
        let has_client = direction != Direction::Inbound;
        let sealed = direction == Direction::Outbound && !matches!(destination, Destination::Outside { .. });
        let role = match client.role {
            _ if !has_client => "none",
            Role::Relay => "relay",
            Role::Submission => "submission",
            Role::Mx => "mx",
        };
        let demand = match outside {
            None => "refused",
            Some(Demand::Opportunistic) => "opportunistic",
            Some(Demand::Encrypted) => "encrypted",
            Some(Demand::Verified) => "verified",
        };
        let user = client.user.filter(|_| has_client).unwrap_or_default();
        Ok(Context::from_pairs([
            ("role".to_owned(), Value::new_entity_uid(named(&self.role, role))),
            ("trusted_client".to_owned(), Value::new_bool(has_client && client.may_send())),
            ("user".to_owned(), text(user)),
            ("owns_sender".to_owned(), Value::new_bool(has_client && client.owns_sender)),
            ("tls".to_owned(), Value::new_bool(has_client && client.tls)),
            ("sealed".to_owned(), Value::new_bool(sealed)),
            ("outside".to_owned(), Value::new_entity_uid(named(&self.demand, demand))),
        ])?)
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
            Destination::Stranger => ("stranger", "", false),
            Destination::Outside { .. } => ("outside", "", false),
            Destination::Unknown => ("unknown", "", false),
        };
        HashMap::from([
            ("place".to_owned(), Value::new_entity_uid(named(&self.place, place))),
            ("partner".to_owned(), text(partner)),
            ("conflict".to_owned(), Value::new_bool(conflict)),
        ])
    }

    /// What nobody looked for is `none`.
    fn authenticity(&self, found: Option<Authenticity<'_>>) -> [(String, Value); 5] {
        let finding = |of: fn(&Authenticity<'_>) -> Finding| {
            let name = match found.as_ref().map(of).unwrap_or_default() {
                Finding::Pass => "pass",
                Finding::Fail => "fail",
                Finding::SoftFail => "softfail",
                Finding::Neutral => "neutral",
                Finding::None => "none",
                Finding::TempError => "temperror",
                Finding::PermError => "permerror",
            };
            Value::new_entity_uid(named(&self.finding, name))
        };
        let policy = match found.map(|found| found.dmarc_policy).unwrap_or_default() {
            DmarcPolicy::None => "none",
            DmarcPolicy::Quarantine => "quarantine",
            DmarcPolicy::Reject => "reject",
        };
        let from_domain = found.map_or_else(String::new, |found| found.from_domain.to_lowercase());
        [
            ("spf".to_owned(), finding(|found| found.spf)),
            ("dkim".to_owned(), finding(|found| found.dkim)),
            ("dmarc".to_owned(), finding(|found| found.dmarc)),
            ("dmarc_policy".to_owned(), Value::new_entity_uid(named(&self.dmarc_policy, policy))),
            ("from_domain".to_owned(), text(&from_domain)),
        ]
    }

    fn action(&self, question: Question) -> &Action {
        let [rcpt_out, mail_out, rcpt_in, mail_in, rcpt_home, mail_home] = &self.actions;
        match question {
            Question::RcptOut => rcpt_out,
            Question::MailOut => mail_out,
            Question::RcptIn => rcpt_in,
            Question::MailIn => mail_in,
            Question::RcptHome => rcpt_home,
            Question::MailHome => mail_home,
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
