//! The questions that a way needs answered, in the order in which each depends on the one before.

use finding::{Dnssec, Looked, MailFinder, NameError};
use futures::future::join_all;
use rand::RngExt;
use smtp::route::{self, Answer, Candidates, Exchange, Host, NoAnswer, RouteError, Tlsa, tlsa};

/// The candidates for a domain in A-labels, and what is known of each.
pub(super) async fn candidates(
    finder: &MailFinder,
    domain: &str,
    own_names: &[String],
) -> Result<(Candidates, Vec<Host>), RouteError> {
    if let Some(address) = route::literal(domain) {
        let candidates = Candidates::of_literal(domain);
        let records = if finder.may_connect(address) { vec![address] } else { Vec::new() };
        let addresses = Ok(Answer { records, secure: false, alias: None });
        return Ok((candidates, vec![Host { name: domain.to_owned(), addresses, tlsa: Vec::new() }]));
    }
    let mx = finder.mx(domain).await.map_err(no_answer)?;
    let mx = answer(mx, |record| Exchange { preference: record.preference, host: record.host });
    let below = |limit: usize| rand::rng().random_range(0..limit);
    let candidates = route::candidates(domain, &mx, own_names, below)?;
    let hosts = join_all(candidates.hosts.iter().map(|name| host(finder, &candidates, name))).await;
    Ok((candidates, hosts))
}

async fn host(finder: &MailFinder, candidates: &Candidates, name: &str) -> Host {
    let addresses = finder.addresses(name).await.map(|looked| answer(looked, |address| address));
    let addresses = addresses.map_err(no_answer);
    let bases = match &addresses {
        Ok(addresses) => candidates.tlsa_bases(name, addresses),
        Err(_) => Vec::new(),
    };
    let mut tlsa = Vec::new();
    for base in bases {
        let found = finder.tlsa(&tlsa::name_of(&base)).await;
        let found = found.map_err(no_answer).map(|looked| {
            answer(looked, |record| Tlsa {
                usage: record.usage,
                selector: record.selector,
                matching: record.matching,
                data: record.data,
            })
        });
        // RFC 7672 §2.2.3: the next name counts only if this one certainly has none.
        let settled = found.as_ref().map_or(true, |answer| !answer.records.is_empty());
        tlsa.push((base, found));
        if settled {
            break;
        }
    }
    Host { name: name.to_owned(), addresses, tlsa }
}

fn answer<T, U>(looked: Looked<T>, read: impl Fn(T) -> U) -> Answer<U> {
    Answer {
        records: looked.records.into_iter().map(read).collect(),
        secure: looked.dnssec == Dnssec::Secure,
        alias: looked.alias,
    }
}

/// Whatever it was: nothing that says "there is none" is an error of the finder.
pub(super) fn no_answer(error: NameError) -> NoAnswer {
    match error {
        NameError::Bogus => NoAnswer::Bogus,
        NameError::Unanswered(why) => NoAnswer::Silent(why),
        other => NoAnswer::Silent(other.to_string()),
    }
}
