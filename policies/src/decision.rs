//! What the judge answers.

/// The answer to one question, with everything the journal needs to explain and replay it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody reads protects nobody"]
pub struct Decision<A> {
    /// What is to be done.
    pub verdict: Verdict<A>,
    /// The rules that led there, the decisive one first. Words for the journal; never an address.
    pub reasons: Vec<Reason>,
    /// [`Rules::generation`](crate::Rules::generation) of the rules that were asked.
    pub generation: String,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<A> {
    /// Go ahead. For a whole mail, `A` is the [`Permit`](crate::Permit) that sealing and handing over demand.
    Allow(A),
    /// Keep it, sealed, until an administrator has looked.
    Hold,
    /// Say no.
    Refuse(Refusal),
}

impl<A> Verdict<A> {
    /// Whether this is [`Verdict::Allow`].
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// A "no" in the words of SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reply code, 4xx or 5xx (RFC 5321 §4.2.1).
    pub code: u16,
    /// Enhanced status code of the same class, such as `5.7.1` (RFC 3463).
    pub enhanced: String,
    /// One line of printable ASCII that names the rule; never an address.
    pub text: String,
}

impl Refusal {
    /// Whether the client should try again later.
    pub fn is_temporary(&self) -> bool {
        self.code < 500
    }
}

/// One rule that took part in a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule's `@id`.
    pub rule: String,
    /// The rule's `@why` with its numbers filled in.
    pub text: String,
}
