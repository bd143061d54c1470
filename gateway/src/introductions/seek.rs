//! Whom an address leads to, for an administrator who asks: [`control::Control::address`].

use std::sync::Arc;

use bytes::Bytes;
use control::{AddressView, ControlError};
use dccp::address::canonical;
use dccp::partner::PartnerFile;
use dccp::{Did, UnixMillis};
use overlay::{Topic, Whom};
use tokio::sync::watch;

use super::Road;
use crate::partners::Partners;
use crate::people::{Asked, Contacts, Correspondent, Sought};

/// Asks partners about their addresses.
#[derive(Clone)]
pub struct Seeker {
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// What partners answered.
    pub contacts: Contacts,
    /// Asks them.
    pub road: Road,
}

impl Seeker {
    /// What the partner that has the address's domain says.
    ///
    /// # Errors
    /// [`ControlError::Bad`] for what is no address, [`ControlError::NotFound`] when no partner has its domain,
    /// [`ControlError::Unavailable`] when the partner does not answer, or contradicts itself.
    pub async fn seek(&self, address: &str, now: UnixMillis) -> Result<AddressView, ControlError> {
        let address = canonical(address);
        let Some((_, domain)) = address.rsplit_once('@') else {
            return Err(ControlError::Bad(format!("{address} is not a mail address.")));
        };
        let sought = {
            let partners = self.partners.borrow();
            let partner = partners
                .by_domain(domain)
                .ok_or_else(|| ControlError::NotFound(format!("{domain} is not the domain of a partner.")))?;
            Sought {
                partner: partner.did().clone(),
                devices: partner.devices().clone(),
                address: address.clone(),
            }
        };
        let organisation = sought.partner.to_string();
        match self.contacts.seek_anew(&sought, &self.road, now).await {
            Ok(Asked::Person(person)) => {
                let person = confirmed(&self.road, &sought, person, now).await;
                Ok(AddressView { address, organisation, did: person.map(|did| did.to_string()) })
            }
            Ok(Asked::Nobody | Asked::Unknown) => Ok(AddressView { address, organisation, did: None }),
            Err(error) => Err(ControlError::Unavailable(format!("{domain} cannot be asked now: {error}."))),
        }
    }
}

/// The person whom a partner names, if the person's own log names the address back: linkage is mutual or it is nothing.
/// A log that cannot be had now confirms nothing.
pub(super) async fn confirmed(
    road: &Road,
    sought: &Sought,
    person: Correspondent,
    now: UnixMillis,
) -> Option<Did> {
    let whom = Whom::Partner(sought.partner.clone());
    let question = Bytes::copy_from_slice(person.did.as_str().as_bytes());
    let bundle = road.ask(&whom, Topic::Did, question).await.ok()?;
    let records = PartnerFile::from_bytes(&bundle).ok()?.verify(now).ok()?;
    let names_back = person.is_confirmed_by(&records.document, &sought.address);
    if !names_back {
        tracing::warn!(
            partner = %sought.partner,
            person = %person.did,
            "a partner names a person whose own log does not name the address; sealing to the organisation"
        );
    }
    names_back.then_some(person.did)
}
