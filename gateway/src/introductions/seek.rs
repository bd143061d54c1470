//! Whom an address leads to, for an administrator who asks: [`control::Control::address`].

use std::sync::Arc;

use control::{AddressView, ControlError};
use dccp::UnixMillis;
use dccp::address::canonical;
use tokio::sync::watch;

use super::Road;
use crate::partners::Partners;
use crate::people::{Asked, Contacts, Sought};

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
                Ok(AddressView { address, organisation, did: Some(person.did.to_string()) })
            }
            Ok(Asked::Nobody | Asked::Unknown) => Ok(AddressView { address, organisation, did: None }),
            Err(error) => Err(ControlError::Unavailable(format!("{domain} cannot be asked now: {error}."))),
        }
    }
}
