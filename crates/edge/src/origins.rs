//! How many connections each client address holds. Only asked when a limit is set; it must not know
//! what a connection is used for.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The connections of all addresses that have any.
#[derive(Default)]
pub struct Origins(Mutex<HashMap<IpAddr, u32>>);

/// One connection of an address; dropping it makes room for another.
pub struct Held {
    origins: Arc<Origins>,
    of: IpAddr,
}

impl Origins {
    /// `None` when the address has as many as it may.
    pub fn hold(self: &Arc<Origins>, address: IpAddr, max: u32) -> Option<Held> {
        let of = network(address);
        let mut counts = self.0.lock();
        let count = counts.entry(of).or_default();
        // An address without any has room: nothing is left behind by a refusal.
        if *count >= max.max(1) {
            return None;
        }
        *count += 1;
        Some(Held { origins: Arc::clone(self), of })
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.origins.0.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// What one client is taken to own: an IPv4 address, or the first 64 bits of an IPv6 address, which
/// is the least that a subscriber is given (RFC 6177).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bounded_and_forgotten() {
        let origins = Arc::<Origins>::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let hold = |text: &str| origins.hold(address(text), 2);
        let one = hold("10.0.0.1").expect("room");
        let two = hold("::ffff:10.0.0.1").expect("the same address in its other form");
        assert!(hold("10.0.0.1").is_none());
        let other = hold("10.0.0.2").expect("another address");
        drop(one);
        let three = hold("10.0.0.1").expect("room again");
        // A subscriber's /64 is one client.
        let (a, b) = (hold("2001:db8:0:1::1"), hold("2001:db8:0:1:ffff::2"));
        assert!(a.is_some() && b.is_some() && hold("2001:db8:0:1::3").is_none());
        assert!(hold("2001:db8:0:2::3").is_some());
        drop((two, three, other, a, b));
        assert_eq!(origins.len(), 0);
    }
}
