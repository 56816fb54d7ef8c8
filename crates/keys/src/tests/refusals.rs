//! What must not start: the wrong root key, a ring that was changed, cut or swapped, a log without
//! its ring. Each refusal names the file, and changes nothing.

use super::*;

/// A directory with something in it, and the process that made it gone.
fn made() -> Rig {
    let rig = Rig::new(1);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    rig.seal(&keyring, tenant(2), extent(1));
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    drop(keyring);
    rig.disk.restart();
    rig
}

/// The refusal, and that nothing was touched: with the original back in place all is well.
#[track_caller]
fn refuses(rig: &Rig, name: &str, bytes: &[u8], expect: &str) {
    let original = rig.bytes(name);
    let ring = rig.bytes("ring");
    rig.put(name, bytes);
    let error = rig.open(file_source()).expect_err("it must not start").to_string();
    assert!(error.contains(expect), "{error}");
    assert!(error.contains(DIR), "{error}");
    rig.put(name, &original);
    assert_eq!(rig.bytes("ring"), ring);
    rig.check_all(&rig.start());
}

#[test]
fn another_root_key() {
    refuses(&made(), "root.key", &[7; 32], "was made under another root key");
}

#[test]
fn a_root_key_of_the_wrong_length() {
    refuses(&made(), "root.key", &[7; 31], "exactly 32 bytes");
    refuses(&made(), "root.key", &[7; 33], "exactly 32 bytes");
    refuses(&made(), "root.key", &[], "exactly 32 bytes");
}

#[test]
fn no_root_key() {
    let rig = made();
    let root = rig.bytes("root.key");
    crate::folder::destroy(&*rig.disk, &root_path()).expect("removes");
    let error = rig.open(file_source()).expect_err("it must not start").to_string();
    assert!(error.contains("root.key is missing"), "{error}");
    assert!(rig.bytes("root.key").is_empty(), "no other is made");
    rig.put("root.key", &root);
    rig.check_all(&rig.start());
}

#[test]
fn every_bit_of_the_ring_counts() {
    let rig = made();
    let ring = rig.bytes("ring");
    for at in 0..ring.len() {
        let mut changed = ring.clone();
        changed[at] ^= 1 << (at % 8);
        rig.put("ring", &changed);
        let opened = rig.open(file_source());
        let error = opened.err().unwrap_or_else(|| panic!("byte {at} may be changed"));
        assert!(error.to_string().contains("/data/keys/ring"), "{error}");
    }
    rig.put("ring", &ring);
    rig.check_all(&rig.start());
}

#[test]
fn every_bit_of_a_table_counts() {
    let rig = made();
    let name = format!("rewrapped-{}", tenant(2));
    let table = rig.bytes(&name);
    for at in 0..table.len() {
        let mut changed = table.clone();
        changed[at] ^= 1 << (at % 8);
        rig.put(&name, &changed);
        let opened = rig.open(file_source());
        let error = opened.err().unwrap_or_else(|| panic!("byte {at} may be changed"));
        assert!(error.to_string().contains(&name), "{error}");
    }
    rig.put(&name, &table);
    rig.check_all(&rig.start());
}

#[test]
fn a_ring_cut_anywhere() {
    let rig = made();
    let ring = rig.bytes("ring");
    for len in 0..ring.len() {
        rig.put("ring", &ring[..len]);
        rig.open(file_source()).map(drop).expect_err("it must not start");
    }
    let mut longer = ring.clone();
    longer.push(0);
    rig.put("ring", &longer);
    rig.open(file_source()).map(drop).expect_err("it must not start");
    rig.put("ring", &ring);
    rig.check_all(&rig.start());
}

#[test]
fn a_foreign_ring() {
    let other = Rig::new(99);
    let keyring = other.start();
    keyring.prepare(&[tenant(1)]).expect("is made");
    refuses(&made(), "ring", &other.bytes("ring"), "was made under another root key");
}

#[test]
fn a_foreign_ring_with_its_root_key() {
    let (rig, other) = (made(), Rig::new(99));
    let keyring = other.start();
    keyring.prepare(&[tenant(1)]).expect("is made");
    rig.put("ring", &other.bytes("ring"));
    rig.put("root.key", &other.bytes("root.key"));
    let error = rig.open(file_source()).expect_err("it must not start").to_string();
    // Tenant 1 has a key of the same number there, but another one; tenant 2 has none.
    assert!(error.contains("keys that the ring"), "{error}");
    assert!(error.contains("(2 data keys in all)"), "{error}");
}

#[test]
fn a_log_without_its_ring() {
    let rig = made();
    let (ring, root) = (rig.bytes("ring"), rig.bytes("root.key"));
    let table = format!("rewrapped-{}", tenant(2));
    for name in ["ring", "root.key", &table] {
        crate::folder::destroy(&*rig.disk, &Path::new(DIR).join(name)).expect("removes");
    }
    let error = rig.open(file_source()).expect_err("it must not start").to_string();
    assert!(error.contains("ring is missing"), "{error}");
    assert!(rig.bytes("ring").is_empty() && rig.bytes("root.key").is_empty());
    rig.put("ring", &ring);
    rig.put("root.key", &root);
    let error = rig.open(file_source()).expect_err("the table is still missing");
    assert!(matches!(error, KeysError::TableMissing { .. }), "{error}");
}

#[test]
fn tables_without_a_ring() {
    let rig = made();
    crate::folder::destroy(&*rig.disk, &Path::new(DIR).join("ring")).expect("removes");
    let opened = Keyring::open(rig.world(), Path::new(DIR), file_source());
    let error = opened.expect_err("it must not start");
    assert!(matches!(error, KeysError::RingMissing { .. }), "{error}");
}

#[test]
fn an_older_ring_that_lacks_a_tenant() {
    let rig = Rig::new(3);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    let older = rig.bytes("ring");
    rig.seal(&keyring, tenant(2), extent(1));
    drop(keyring);
    rig.disk.restart();
    refuses(&rig, "ring", &older, &tenant(2).to_string());
}

#[test]
fn a_second_process() {
    let rig = made();
    let _first = rig.start();
    let error = rig.open(file_source()).expect_err("it is in use");
    assert!(matches!(error, KeysError::Locked(_)), "{error}");
}

#[test]
fn a_log_that_cannot_be_read_gets_no_new_ring() {
    let rig = Rig::new(4);
    rig.log.1.store(true, Ordering::Relaxed);
    let error = rig.open(file_source()).expect_err("it may hold sealed records");
    assert!(matches!(error, KeysError::Log(_)), "{error}");
    assert!(rig.bytes("ring").is_empty() && rig.bytes("root.key").is_empty());
}
