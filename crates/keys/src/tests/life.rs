//! The ring in daily life: made once, keys on demand, the same after a restart.

use super::*;
use crate::TenantState;
use storage::KeyError;

#[test]
fn a_first_start_makes_a_root_key_and_a_ring() {
    let rig = Rig::new(1);
    let keyring = rig.start();
    assert_eq!(rig.bytes("root.key").len(), 32);
    assert!(rig.bytes("ring").starts_with(b"MSKEYRNG"));
    let status = keyring.status(None, 10).expect("answers");
    assert_eq!((status.live_count, status.shredded_count, status.tenants.len()), (0, 0, 0));
    assert_eq!(status.root_kind.name(), "file");
    drop(keyring);
    let root = rig.bytes("root.key");
    rig.disk.restart();
    rig.start();
    assert_eq!(rig.bytes("root.key"), root);
}

#[test]
fn data_keys_come_back_after_a_restart() {
    let rig = Rig::new(2);
    let keyring = rig.start();
    for number in 1..=5 {
        rig.seal(&keyring, tenant(number), extent(1));
        rig.seal(&keyring, tenant(number), extent(2));
    }
    let secrets: Vec<_> = (1..=5).map(|n| keyring.index_secret(tenant(n)).expect("is")).collect();
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    let keyring = rig.start();
    rig.check_all(&keyring);
    let again: Vec<_> = (1..=5).map(|n| keyring.index_secret(tenant(n)).expect("is")).collect();
    assert_eq!(secrets, again);
    assert_ne!(secrets.first(), secrets.last());
}

#[test]
fn no_two_data_keys_are_alike_and_none_lies_open_on_the_disk() {
    let rig = Rig::new(3);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    rig.seal(&keyring, tenant(1), extent(1));
    rig.seal(&keyring, tenant(2), extent(1));
    let sealed = rig.sealed.lock();
    let keys: Vec<_> = sealed.iter().map(|(_, _, key)| *key.bytes()).collect();
    let nonces: Vec<_> = sealed.iter().map(|(_, wrapped, _)| wrapped.nonce).collect();
    for (index, key) in keys.iter().enumerate() {
        assert!(keys.iter().skip(index + 1).all(|other| other != key));
        let nonce = nonces.get(index);
        assert!(nonces.iter().skip(index + 1).all(|other| Some(other) != nonce));
        for file in ["ring", "root.key"] {
            assert!(!rig.bytes(file).windows(32).any(|window| window == key));
        }
    }
    let secret = keyring.index_secret(tenant(1)).expect("is");
    assert!(!rig.bytes("ring").windows(16).any(|window| window == secret));
}

#[test]
fn a_data_key_opens_only_where_it_was_put() {
    let rig = Rig::new(4);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    keyring.prepare(&[tenant(2)]).expect("is made");
    let (place, wrapped, _) = rig.sealed.lock().first().cloned().expect("one");
    let moved = ExtentRef { generation: place.generation + 1, ..place };
    assert_eq!(keyring.open(moved, &wrapped).err(), Some(KeyError::Foreign));
    assert_eq!(keyring.open(extent(2), &wrapped).err(), Some(KeyError::Foreign));
    let given = WrappedKey { tenant: tenant(2), ..wrapped };
    assert_eq!(keyring.open(place, &given).err(), Some(KeyError::Foreign));
    for byte in 0..48 {
        let mut changed = wrapped;
        changed.bytes[byte] ^= 1;
        assert_eq!(keyring.open(place, &changed).err(), Some(KeyError::Foreign));
    }
    let (newer, stranger) = (WrappedKey { version: 2, ..wrapped }, tenant(9));
    let missing = |tenant, version| Some(KeyError::Missing { tenant, version });
    assert_eq!(keyring.open(place, &newer).err(), missing(tenant(1), 2));
    let theirs = WrappedKey { tenant: stranger, ..wrapped };
    assert_eq!(keyring.open(place, &theirs).err(), missing(stranger, 1));
}

#[test]
fn nothing_is_made_before_the_log_is_known() {
    let rig = Rig::new(5);
    let keyring = Keyring::open(rig.world(), Path::new(DIR), file_source()).expect("opens");
    let refused = keyring.make(tenant(1), extent(1));
    assert!(matches!(refused, Err(KeyError::Unavailable(_))), "{refused:?}");
    assert!(keyring.index_secret(tenant(1)).is_err());
    assert!(rig.bytes("ring").is_empty());
    assert!(rig.bytes("root.key").is_empty());
}

#[test]
fn a_shredded_tenant_is_gone_and_stays_gone() {
    let rig = Rig::new(6);
    let keyring = rig.start();
    for number in 1..=3 {
        rig.seal(&keyring, tenant(number), extent(1));
    }
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    let epoch = keyring.epoch();
    let at = keyring.shred(tenant(2)).expect("shreds");
    assert_eq!(at, START_MS);
    assert!(keyring.epoch() > epoch);
    let check = |keyring: &Keyring| {
        rig.check_all_but(keyring, &[tenant(2)]);
        let shredded = Some(KeyError::Shredded(tenant(2)));
        assert_eq!(keyring.make(tenant(2), extent(5)).err(), shredded);
        assert_eq!(keyring.index_secret(tenant(2)).err(), shredded);
        assert!(keyring.rotate_tenant(tenant(2)).is_err());
        assert!(rig.bytes(&format!("rewrapped-{}", tenant(2))).is_empty());
    };
    check(&keyring);
    rig.clock.advance(std::time::Duration::from_millis(5));
    assert_eq!(keyring.shred(tenant(2)).expect("again"), at);
    drop(keyring);
    rig.disk.restart();
    let keyring = rig.start();
    check(&keyring);
    let state = keyring.tenant_status(tenant(2)).expect("answers").expect("is known").state;
    assert_eq!(state, TenantState::Shredded { at });
    let refused = keyring.shred(crate::NODE).expect_err("everybody's transactions");
    assert!(matches!(refused, KeysError::Node), "{refused}");
    keyring.shred(tenant(77)).expect("a tenant without keys too");
    assert!(keyring.make(tenant(77), extent(1)).is_err());
}

#[test]
fn the_status_pages_through_all_tenants() {
    let rig = Rig::new(7);
    let keyring = rig.start();
    for number in 1..=7 {
        rig.seal(&keyring, tenant(number), extent(1));
    }
    rig.seal(&keyring, tenant(3), extent(2));
    keyring.shred(tenant(5)).expect("shreds");
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let status = keyring.status(after, 3).expect("answers");
        assert_eq!((status.live_count, status.shredded_count), (6, 1));
        after = status.tenants.last().map(|last| last.tenant);
        let is_last = !status.has_more;
        seen.extend(status.tenants);
        if is_last {
            break;
        }
    }
    let ids: Vec<_> = seen.iter().map(|status| status.tenant).collect();
    assert_eq!(ids, (1..=7).map(tenant).collect::<Vec<_>>());
    let data_keys = |number: u128| {
        let status = seen.iter().find(|status| status.tenant == tenant(number));
        match status.map(|status| &status.state) {
            Some(TenantState::Live { versions, .. }) => versions.iter().map(|v| v.data_keys).sum(),
            _ => 0,
        }
    };
    assert_eq!((data_keys(3), data_keys(4), data_keys(5)), (2, 1, 0));
}
