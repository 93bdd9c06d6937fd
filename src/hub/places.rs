//! How many connections of each network are on their way into the hub; what happens to those
//! that are too many is left to `turn`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::networks::Network;

/// The networks with connections that have not logged in, each with their number.
#[derive(Clone, Default)]
pub(super) struct Places(Rc<RefCell<HashMap<Network, usize>>>);

/// What one connection takes. It ends with its value, however the connection does.
pub struct Place {
    network: Network,
    places: Places,
}

impl Places {
    /// Takes one.
    pub fn take(&self, network: Network) -> Place {
        *self.0.borrow_mut().entry(network).or_default() += 1;
        Place { network, places: self.clone() }
    }

    /// How many a network has.
    pub fn count(&self, network: Network) -> usize {
        self.0.borrow().get(&network).copied().unwrap_or(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.0.borrow_mut();
        if let Some(count) = places.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again() {
        let places = Places::default();
        let network = |ip: &str| Network::of(ip.parse().unwrap());
        let one = places.take(network("2001:db8::1"));
        let two = places.take(network("2001:db8::2"));
        assert_eq!(places.count(network("2001:db8::3")), 2);
        drop(one);
        assert_eq!(places.count(network("2001:db8::3")), 1);
        drop(two);
        assert!(places.0.borrow().is_empty());
    }
}
