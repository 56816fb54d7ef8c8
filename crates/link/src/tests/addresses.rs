//! Client addresses are counted over all workers, and forgotten with each.

use crate::call::Place;
use crate::owner::addresses::{Addresses, AddressesHeld};
use std::net::IpAddr;
use std::sync::Arc;

#[test]
fn an_address_is_bounded_over_all_workers() {
    let all = Arc::<Addresses>::default();
    let (one, two) = (AddressesHeld::new(Arc::clone(&all)), AddressesHeld::new(Arc::clone(&all)));
    let address: IpAddr = "10.0.0.1".parse().expect("an address");
    let other: IpAddr = "10.0.0.2".parse().expect("an address");
    assert!(one.enter(Place(1), address, 2) && two.enter(Place(1), address, 2));
    assert!(!one.enter(Place(2), address, 2) && !two.enter(Place(2), address, 2));
    assert!(two.enter(Place(3), other, 2));
    // Nothing was counted for those who were refused.
    one.leave(Place(2));
    assert!(!two.enter(Place(4), address, 2));
    one.leave(Place(1));
    assert!(two.enter(Place(4), address, 2));
    // The worker is killed: all it had is free again.
    drop(two);
    assert_eq!(all.len(), 0);
    assert!(one.enter(Place(5), address, 1));
}
