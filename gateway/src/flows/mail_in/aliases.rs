//! A partner's mail to an alias of ours: it is for those whom the alias comes to, if all of them are ours. The partner hears of the
//! alias only, never of them.

use std::collections::BTreeSet;

use dccp::address::canonical;
use dccp::mail::MailEnvelope;
use federation::Recognition;

use super::MailIn;
use super::attempt::Attempt;
use crate::flows::Snapshot;
use crate::flows::records::{Expanded, Progress};

impl MailIn {
    /// Puts in the place of each alias those whom it came to at the first attempt, so that nobody is served twice because the
    /// aliases have changed since.
    pub(super) fn expand(&self, work: &mut Attempt, earlier: Option<&[u8]>, snapshot: &Snapshot) {
        let earlier = earlier.and_then(|sealed| Progress::open(self.custody.vault(), sealed).ok());
        let envelope = &work.mail.envelope;
        let expanded = earlier.map_or_else(|| aliases_in(envelope, snapshot), |progress| progress.expanded);
        work.mail.envelope = with_members(envelope, &expanded);
        work.progress.expanded = expanded;
    }
}

/// The aliases among the recipients that come to nobody but ours. What leads outside is no alias for somebody else's mail: our
/// mail server gets it under its own name, and we are no relay.
fn aliases_in(envelope: &MailEnvelope, snapshot: &Snapshot) -> Vec<Expanded> {
    let named: BTreeSet<String> = envelope.forward_paths.iter().map(|path| canonical(path)).collect();
    let is_ours = |member: &str| matches!(snapshot.directory.recognise(member), Recognition::Ours(_));
    let expanded = |path: &String| {
        let members = snapshot.aliases.expand(&path.parse().ok()?)?;
        let members = members.iter().map(ToString::to_string);
        // Who is named as well has an outcome of its own.
        let members: Vec<String> = members.filter(|member| !named.contains(&canonical(member))).collect();
        members.iter().all(|member| is_ours(member)).then(|| Expanded { alias: path.clone(), members })
    };
    envelope.forward_paths.iter().filter_map(expanded).collect()
}

/// The envelope with the members of aliases instead of these, each once, who are asked for what the sender asked of the alias.
fn with_members(envelope: &MailEnvelope, expanded: &[Expanded]) -> MailEnvelope {
    let (mut seen, mut forward_paths, mut wishes) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (at, path) in envelope.forward_paths.iter().enumerate() {
        let alias = expanded.iter().find(|expanded| expanded.alias == *path);
        let recipients = alias.map_or(std::slice::from_ref(path), |alias| alias.members.as_slice());
        for recipient in recipients.iter().filter(|recipient| seen.insert(canonical(recipient))) {
            forward_paths.push(recipient.clone());
            wishes.push(envelope.wish(at));
        }
    }
    let wishes = if envelope.wishes.is_empty() { Vec::new() } else { wishes };
    MailEnvelope { forward_paths, wishes, ..envelope.clone() }
}

#[cfg(test)]
mod tests {
    use dccp::mail::{Notify, Wish};

    use super::*;

    #[test]
    fn each_member_of_each_alias_is_a_recipient_once_and_asked_for_what_its_alias_was() {
        let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let never = Wish { notify: Notify::Never, original: None };
        let envelope = MailEnvelope {
            forward_paths: strings(&["bob@acme.test", "team@acme.test", "all@acme.test"]),
            wishes: vec![Wish::default(), never.clone(), Wish::default()],
            ..MailEnvelope::default()
        };
        let expanded = [
            ("team@acme.test", &["eve@acme.test"][..]),
            ("all@acme.test", &["Eve@acme.test", "joe@acme.test"]),
        ]
        .map(|(alias, members)| Expanded { alias: alias.to_owned(), members: strings(members) });
        let found = with_members(&envelope, &expanded);
        assert_eq!(found.forward_paths, strings(&["bob@acme.test", "eve@acme.test", "joe@acme.test"]));
        assert_eq!(found.wishes, [Wish::default(), never, Wish::default()]);
    }
}
