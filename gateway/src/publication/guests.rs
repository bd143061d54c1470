//! How many connections one network holds: a single stranger must not occupy the whole house.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by network. Holds at most one entry per open connection.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place that is given back when it is dropped.
pub(super) struct Place {
    guests: Guests,
    network: IpAddr,
}

impl Guests {
    /// A place for one more connection, unless the network of `address` has `places_max` already.
    pub(super) fn admit(&self, address: IpAddr, places_max: usize) -> Option<Place> {
        let network = network(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = taken.entry(network).or_default();
        if *places >= places_max {
            return None;
        }
        *places += 1;
        Some(Place { guests: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = taken.get_mut(&self.network) {
            *places -= 1;
            if *places == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address: what one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_gets_its_places_and_no_more_until_one_is_given_back() {
        let guests = Guests::default();
        let at = |address: &str| guests.admit(address.parse().expect("an address"), 2);
        let first = at("2001:db8::1").expect("a place");
        let _second = at("2001:db8::2").expect("a place");
        assert!(at("2001:db8::3").is_none());
        assert!(at("2001:db8:0:1::3").is_some());
        drop(first);
        assert!(at("2001:db8::3").is_some());
    }

    #[test]
    fn nothing_is_remembered_of_guests_who_left() {
        let guests = Guests::default();
        drop(guests.admit("192.0.2.1".parse().expect("an address"), 1));
        assert!(guests.0.lock().expect("a table").is_empty());
    }
}
