//! The law: rule texts become slices of Cedar policies, one per question, with the words for their replies.

mod error;
mod read;
mod reply;
mod slice;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::digest;
use cedar_policy::Schema;

pub use error::RulesError;
pub(crate) use reply::{Numbers, Reply};
pub(crate) use slice::Slice;

use crate::judge::RESERVED_IDS;
use crate::question::{Question, Words};
use read::{Origin, RuleText};
use reply::Wording;

/// The vocabulary. `rules/words.cedarschema` is part of the law: its text counts in the generation.
const WORDS: &str = include_str!("../../rules/words.cedarschema");

/// The standard rules, in the order in which they speak when several refuse the same mail.
const STANDARD: [&str; 7] = [
    include_str!("../../rules/senders.cedar"),
    include_str!("../../rules/clear-text.cedar"),
    include_str!("../../rules/recipients.cedar"),
    include_str!("../../rules/partners.cedar"),
    include_str!("../../rules/outside.cedar"),
    include_str!("../../rules/authenticity.cedar"),
    include_str!("../../rules/size.cedar"),
];

/// Local text is typed by a person; anything larger is the wrong file.
const LOCAL_BYTES_MAX: usize = 256 * 1024;

/// An immutable set of rules. Build it once per change of the law and share it: building costs milliseconds, asking
/// costs microseconds.
pub struct Rules {
    pub(crate) words: Words,
    slices: [Slice; Question::ALL.len()],
    rules: HashMap<String, Rule>,
    generation: String,
}

/// One rule, without its condition (Cedar keeps that).
pub(crate) struct Rule {
    pub(crate) id: String,
    /// Position in the whole law; the first rule to refuse gives the reply.
    pub(crate) rank: usize,
    pub(crate) effect: Effect,
    pub(crate) why: Wording,
}

/// What a rule does when its condition is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Permit,
    Hold,
    Refuse(Reply),
}

impl Rules {
    /// The rules this crate ships, from `policies/rules/*.cedar`.
    ///
    /// # Panics
    /// Never in a released build: the texts are compiled in and a test reads them.
    #[expect(clippy::panic, reason = "compiled-in text; without a law the gateway must not start")]
    pub fn standard() -> Self {
        Self::build(&STANDARD, None).unwrap_or_else(|error| panic!("the standard rules are broken: {error}"))
    }

    /// The standard rules and the administrator's own. Local rules only ever tighten: each is a `forbid`, either a
    /// refusal with an `@reply` or a hold with `@effect("hold")`.
    ///
    /// # Errors
    /// The first mistake in `cedar_text`, with its line: syntax, a word that the schema does not know, a missing or
    /// misspelt annotation, an id that is already taken, a `permit`, a rule that could never apply.
    pub fn with_local(cedar_text: &str) -> Result<Self, RulesError> {
        if cedar_text.len() > LOCAL_BYTES_MAX {
            let size = cedar_text.len();
            return Err(RulesError::new(
                1,
                format!("the local rules have {size} bytes; the limit is {LOCAL_BYTES_MAX}"),
            ));
        }
        Self::build(&STANDARD, Some(cedar_text))
    }

    /// A law without a single objection: what it does not allow, nothing can.
    #[cfg(test)]
    pub(crate) fn everything_goes() -> Self {
        let open = r#"@id("open") @why("Open.") permit (principal, action, resource);"#;
        Self::build(&[open], None).unwrap()
    }

    /// Short hash of every word of the law, standard and local. Equal generations decide equal facts equally.
    pub fn generation(&self) -> String {
        self.generation.clone()
    }

    pub(crate) fn slice(&self, question: Question) -> &Slice {
        let [rcpt_out, mail_out, rcpt_in, mail_in, rcpt_home, mail_home] = &self.slices;
        match question {
            Question::RcptOut => rcpt_out,
            Question::MailOut => mail_out,
            Question::RcptIn => rcpt_in,
            Question::MailIn => mail_in,
            Question::RcptHome => rcpt_home,
            Question::MailHome => mail_home,
        }
    }

    pub(crate) fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id)
    }

    fn build(standard: &[&str], local: Option<&str>) -> Result<Self, RulesError> {
        let (schema, _warnings) =
            Schema::from_cedarschema_str(WORDS).map_err(|error| RulesError::new(1, error.to_string()))?;
        let words = Words::new().map_err(|error| RulesError::new(1, error.to_string()))?;
        let texts = standard
            .iter()
            .map(|text| RuleText { text, origin: Origin::Standard })
            .chain(local.map(|text| RuleText { text, origin: Origin::Local }));

        let mut rules = HashMap::new();
        let mut slices = Question::ALL.map(|_| Slice::default());
        for text in texts {
            for (line, rule, policy) in read::read(&text, &schema, rules.len())? {
                if rules.contains_key(&rule.id) || RESERVED_IDS.contains(&rule.id.as_str()) {
                    return Err(RulesError::taken(line, &rule.id));
                }
                for (question, slice) in Question::ALL.into_iter().zip(&mut slices) {
                    if words.concerns(&policy, question) {
                        rule.check_words_known(question).map_err(|error| RulesError::new(line, error))?;
                        slice.add(&rule, &policy).map_err(|error| RulesError::new(line, error))?;
                    }
                }
                rules.insert(rule.id.clone(), rule);
            }
        }
        Ok(Self { words, slices, rules, generation: generation(standard, local) })
    }
}

impl Rule {
    /// At `RCPT TO` the mail has no size yet, so a rule for that moment cannot promise a number.
    fn check_words_known(&self, question: Question) -> Result<(), String> {
        if self.why.needs_numbers() && !question.is_about_mail() {
            return Err("numbers in @why are known for mail-out, mail-in and mail-home only".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules({}, {} rules)", self.generation, self.rules.len())
    }
}

/// 64 bits of SHA-256 over all texts, each with its length in front so that no two laws concatenate to the same bytes.
fn generation(standard: &[&str], local: Option<&str>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for text in [WORDS].iter().chain(standard).chain(&local) {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let digest = hash.finish();
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
