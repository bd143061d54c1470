//! What the house tells the judge: facts it has established itself, never opinions and never octets.
//!
//! Facts borrow from the transaction they describe. Addresses are read as the house wrote them; the judge compares
//! them in lower case, so that a rule about `alice@acme.example` also sees `Alice@ACME.example`.

use dccp::Did;

/// Which way the mail crosses the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From our own mail server or our people to somebody else: to a partner it leaves sealed.
    Outbound,
    /// From a partner to our own mail server: it arrived sealed and is handed over in the clear.
    Inbound,
    /// From the Internet, or from our own people, to our own mail server: it arrived in the clear and stays at home.
    FromOutside,
}

/// What the door is for that a client came in through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Our own mail servers, known by network or certificate.
    Relay,
    /// Our own people, known by name.
    Submission,
    /// The Internet: known by nothing, and served for our own domains only.
    Mx,
}

/// Who handed the mail in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client<'a> {
    /// The door it came in through.
    pub role: Role,
    /// It connected from a trusted network, or showed a certificate that we trust.
    pub trusted: bool,
    /// Who it is, once it has proved it (AUTH).
    pub user: Option<&'a str>,
    /// The reverse-path is one of that user's own addresses.
    pub owns_sender: bool,
    /// It speaks TLS.
    pub tls: bool,
}

impl Client<'static> {
    /// Nobody: a partner's mail comes from the road between gateways, where signatures speak instead.
    pub const NOBODY: Self =
        Self { role: Role::Relay, trusted: false, user: None, owns_sender: false, tls: false };

    /// A mail server of ours that was believed when it handed the mail in. Whoever asks again later about a mail that
    /// was accepted (it was held, or an attempt failed) asks as this client; who may send was decided at the door.
    pub const BELIEVED: Self = Self { trusted: true, ..Self::NOBODY };
}

impl Client<'_> {
    /// Whether it may hand in mail that leaves the house at all: a server must be trusted, a person must be known.
    pub(crate) fn may_send(&self) -> bool {
        match self.role {
            Role::Relay => self.trusted,
            Role::Submission => self.user.is_some(),
            Role::Mx => false,
        }
    }
}

/// Whose address the reverse-path is (RFC 5321 §4.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderStanding {
    /// A person or a domain of our own organisation.
    Ours,
    /// The empty reverse-path `<>` of reports (RFC 5321 §4.5.5).
    Null,
    /// Somebody else's address.
    Foreign,
    /// Inbound: the address belongs to a domain of the very partner the mail came from. From outside: it belongs to
    /// a domain of some partner, whose mail should have come sealed.
    ThePartner,
}

/// Where the mail would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A recipient of our own organisation.
    Ours,
    /// A recipient of a partner whose DID we know.
    Partner {
        /// The DID the mail would be sealed to.
        did: &'a Did,
        /// Whether that DID is still the one we pinned.
        standing: PartnerStanding,
    },
    /// A recipient whose domain has a gateway that nobody has made a partner yet: mail for it waits for that.
    Stranger,
    /// Certainly no gateway: the mail would leave under TLS at best. A look-up that *failed* is not `Outside`: the
    /// house answers `451` to it without asking the judge, because a failed look-up is never "no such gateway".
    Outside {
        /// The domain it would be relayed to.
        domain: &'a str,
    },
    /// Nowhere that we carry mail to.
    Unknown,
}

/// What is asked of the way to a domain outside: what its server's TLS must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// TLS when the server offers it, whatever its certificate says (RFC 7435).
    Opportunistic,
    /// TLS, whatever its certificate says.
    Encrypted,
    /// TLS with a server that proves its name, by DANE (RFC 7672) or a certificate that everybody trusts.
    Verified,
}

/// What a sender, or an administrator for a domain, asked for this mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It leaves sealed or not at all.
    pub must_encrypt: bool,
}

/// What could be found out about a mail that came in the clear (RFC 8601 §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticity<'a> {
    /// Of the address that brought it (RFC 7208).
    pub spf: Finding,
    /// The best of its signatures (RFC 6376).
    pub dkim: Finding,
    /// Of the domain in its From field (RFC 9989).
    pub dmarc: Finding,
    /// What that domain asks for when DMARC fails.
    pub dmarc_policy: DmarcPolicy,
    /// The domain in the From field; empty when there is none.
    pub from_domain: &'a str,
}

/// The result of one check, in the words of RFC 8601 §2.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finding {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// SPF: probably not.
    SoftFail,
    /// No opinion.
    Neutral,
    /// There is nothing to check.
    #[default]
    None,
    /// It could not be found out now. The house answers `451` instead of asking the judge.
    TempError,
    /// What there is makes no sense.
    PermError,
}

/// What the owner of a domain asks for when DMARC fails (RFC 9989).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DmarcPolicy {
    /// Nothing.
    #[default]
    None,
    /// To look at it first.
    Quarantine,
    /// To refuse it.
    Reject,
}

/// Whether a partner still is who we pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartnerStanding {
    /// The DID equals the pin.
    Pinned,
    /// Another DID was presented for a pinned domain; an administrator has to look.
    Conflict,
}

/// One recipient of one transaction, asked at `RCPT TO`, or per forward-path of a mail that was sealed (inbound).
#[derive(Clone, Copy, Debug)]
pub struct RecipientFacts<'a> {
    /// Which way the mail crosses the house.
    pub direction: Direction,
    /// The reverse-path without its angle brackets; empty when null.
    pub sender: &'a str,
    /// Whose address the sender is.
    pub sender_standing: SenderStanding,
    /// The forward-path's mailbox, `local@domain`.
    pub recipient: &'a str,
    /// The domain of `recipient`.
    pub recipient_domain: &'a str,
    /// Where this recipient is.
    pub destination: Destination<'a>,
    /// Who hands it in. Inbound: [`Client::NOBODY`].
    pub client: Client<'a>,
    /// What is asked for already: by the domain of sender or recipient. The octets may ask for more.
    pub marks: Marks,
    /// What the configuration demands of the way outside; `None`: nothing goes there.
    pub outside: Option<Demand>,
}

/// One mail to one destination, asked once its octets are complete. Mail for three partners is three questions.
#[derive(Clone, Copy, Debug)]
pub struct MailFacts<'a> {
    /// Which way the mail crosses the house.
    pub direction: Direction,
    /// The reverse-path without its angle brackets; empty when null.
    pub sender: &'a str,
    /// Whose address the sender is. Asked again here: a [`Permit`](crate::Permit) never rests on the memory of an
    /// earlier answer.
    pub sender_standing: SenderStanding,
    /// Where this copy goes.
    pub destination: Destination<'a>,
    /// Who handed it in. Inbound: [`Client::NOBODY`].
    pub client: Client<'a>,
    /// What is asked for this mail.
    pub marks: Marks,
    /// The sender insists on verified TLS all the way (RFC 8689).
    pub require_tls: bool,
    /// What the configuration demands of the way outside; `None`: nothing goes there.
    pub outside: Option<Demand>,
    /// What was found out about who sent it; `None` when nobody looked, because the client was known.
    pub authenticity: Option<Authenticity<'a>>,
    /// How many recipients this copy has.
    pub recipients: usize,
    /// Size of the message in octets.
    pub size: u64,
    /// The largest size we take, in octets.
    pub size_max: u64,
    /// Media type of the message's outermost part, such as `text/plain`; empty when it names none.
    pub content_type: &'a str,
    /// Everybody whom its From field names is the user who logged in. True where nobody did, or where nobody asks.
    pub owns_from: bool,
    /// A person looked at it and let it go on: holds count no more, refusals do. Rules are not told.
    pub approved: bool,
}
