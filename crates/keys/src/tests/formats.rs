//! The bytes on disk: what decodes encodes to the same, and the layout stays what it is.

use super::*;
use crate::rewrapped::Table;
use crate::ring::{Ring, RingFault};
use crate::transfer::Bundle;

#[test]
fn a_ring_decodes_to_what_it_was() {
    let rig = Rig::new(1);
    let keyring = rig.start();
    for number in 1..=3 {
        rig.seal(&keyring, tenant(number), extent(1));
    }
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    keyring.shred(tenant(3)).expect("shreds");
    let bytes = rig.bytes("ring");
    let ring = Ring::decode(&bytes).expect("a ring");
    assert_eq!(ring.body(), bytes[..bytes.len() - 32]);
    let bytes = rig.bytes(&format!("rewrapped-{}", tenant(2)));
    let table = Table::decode(&bytes).expect("a table");
    assert_eq!(table.body(), bytes[..bytes.len() - 32]);
    let bundle = Bundle::decode(&keyring.export().expect("exports")).expect("an export");
    assert_eq!((bundle.ring, bundle.tables), (rig.bytes("ring"), vec![bytes]));
}

#[test]
fn the_layout_is_fixed() {
    let rig = Rig::new(2);
    let keyring = rig.start();
    let bytes = rig.bytes("ring");
    // Header, one wrapped ring key of 60 bytes, no tenants, authentication.
    assert_eq!(bytes.len(), 8 + 2 + 8 + 1 + 16 + 2 + 60 + 4 + 32);
    assert_eq!(bytes[..19], *b"MSKEYRNG\x01\x00\x01\0\0\0\0\0\0\0\x01");
    keyring.prepare(&[tenant(1)]).expect("is made");
    assert_eq!(rig.bytes("ring").len(), bytes.len() + 16 + 1 + 44 + 1 + 1 + 2 + 4 + 8 + 60);
}

#[test]
fn what_is_no_ring_is_told_apart() {
    let rig = Rig::new(3);
    rig.start();
    let good = rig.bytes("ring");
    let check = |change: &dyn Fn(&mut Vec<u8>), fault: RingFault| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(Ring::decode(&bytes).err(), Some(fault));
    };
    check(&|bytes| bytes.clear(), RingFault::NotARing);
    check(&|bytes| bytes[0] = b'X', RingFault::NotARing);
    check(&|bytes| bytes[8] = 2, RingFault::Format(2));
    check(&|bytes| bytes.truncate(20), RingFault::Length);
    check(&|bytes| bytes.push(0), RingFault::Length);
    check(&|bytes| bytes[18] = 9, RingFault::Invalid("kind of root key"));
    let tenants = good.len() - 36;
    check(&|bytes| bytes[tenants] = 1, RingFault::Length);
    check(&|bytes| bytes[tenants + 3] = 0xff, RingFault::Invalid("number of tenants"));
    assert_eq!(Table::decode(&good).err(), Some(RingFault::NotARing));
}
