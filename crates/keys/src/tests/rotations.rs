//! Rotation while everything goes on: what was sealed before, meanwhile and after stays readable,
//! and old keys are gone.

use super::*;
use crate::TenantState;
use crate::rotation::STALE_ENTRIES_MIN;

fn versions(keyring: &Keyring, owner: TenantId) -> Vec<(u32, usize)> {
    match keyring.tenant_status(owner).expect("answers").map(|status| status.state) {
        Some(TenantState::Live { versions, .. }) => {
            versions.iter().map(|version| (version.version, version.data_keys)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_tenants_rotation_rewraps_every_data_key() {
    let rig = Rig::new(1);
    let keyring = rig.start();
    for number in 1..=5 {
        rig.seal(&keyring, tenant(1), extent(number));
    }
    rig.seal(&keyring, tenant(2), extent(1));
    let secret = keyring.index_secret(tenant(1)).expect("is");
    let done = keyring.rotate_tenant(tenant(1)).expect("rotates");
    assert_eq!((done.from, done.to, done.rewrapped, done.unreadable), (1, 2, 5, 0));
    assert_eq!(versions(&keyring, tenant(1)), [(2, 5)]);
    assert_eq!(versions(&keyring, tenant(2)), [(1, 1)]);
    rig.seal(&keyring, tenant(1), extent(6));
    rig.check_all(&keyring);
    let done = keyring.rotate_tenant(tenant(1)).expect("rotates again");
    assert_eq!((done.from, done.to, done.rewrapped), (2, 3, 6));
    assert_eq!(keyring.index_secret(tenant(1)), Ok(secret));
    drop(keyring);
    rig.disk.restart();
    let keyring = rig.start();
    rig.check_all(&keyring);
    assert_eq!(versions(&keyring, tenant(1)), [(3, 6)]);
}

#[test]
fn an_old_key_opens_nothing_after_the_rotation() {
    let rig = Rig::new(2);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    keyring.rotate_tenant(tenant(1)).expect("rotates");
    // The wrapped key in the extent is of a version that nobody has: only the table helps.
    drop(keyring);
    rig.disk.restart();
    let table = format!("rewrapped-{}", tenant(1));
    let bytes = rig.bytes(&table);
    crate::folder::destroy(&*rig.disk, &Path::new(DIR).join(&table)).expect("removes");
    let refused = rig.open(file_source()).expect_err("the table is missing");
    assert!(matches!(refused, KeysError::TableMissing { .. }), "{refused}");
    rig.put(&table, &bytes);
    rig.check_all(&rig.start());
}

#[test]
fn a_key_made_and_not_listed_yet_survives_the_rotation() {
    let rig = Rig::new(3);
    let keyring = rig.start();
    let (key, wrapped) = keyring.make(tenant(1), extent(1)).expect("is made");
    let done = keyring.rotate_tenant(tenant(1)).expect("rotates");
    assert_eq!(done.rewrapped, 1);
    let opened = keyring.open(extent(1), &wrapped).expect("opens");
    assert_eq!(opened.bytes(), key.bytes());
}

#[test]
fn unknown_tenants_are_not_rotated() {
    let rig = Rig::new(4);
    let keyring = rig.start();
    let refused = keyring.rotate_tenant(tenant(1)).expect_err("it never stored a record");
    assert!(matches!(refused, KeysError::Unknown(_)), "{refused}");
}

#[test]
fn what_did_not_open_before_is_counted_and_left() {
    let rig = Rig::new(5);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    let (_, mut wrapped) = keyring.make(tenant(1), extent(2)).expect("is made");
    wrapped.bytes[5] ^= 1;
    rig.log.0.lock().push((extent(3), wrapped));
    let done = keyring.rotate_tenant(tenant(1)).expect("rotates");
    assert_eq!((done.rewrapped, done.unreadable), (2, 1));
    rig.check_all(&keyring);
}

#[test]
fn entries_of_released_extents_go() {
    let rig = Rig::new(6);
    let keyring = rig.start();
    let count = STALE_ENTRIES_MIN as u32 + 10;
    (1..=count).for_each(|number| rig.seal(&keyring, tenant(1), extent(number)));
    keyring.rotate_tenant(tenant(1)).expect("rotates");
    let name = format!("rewrapped-{}", tenant(1));
    let before = rig.bytes(&name).len();
    drop(keyring);
    let is_kept = |place: &ExtentRef| place.id.0 > count - 5;
    rig.log.0.lock().retain(|(place, _)| is_kept(place));
    rig.sealed.lock().retain(|(place, ..)| is_kept(place));
    rig.disk.restart();
    let keyring = rig.start();
    assert!(rig.bytes(&name).len() < before / 5);
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.start());
    // The last of them: the table goes with them.
    let keyring = rig.start();
    rig.log.0.lock().clear();
    rig.sealed.lock().clear();
    keyring.rotate_tenant(tenant(1)).expect("rotates");
    assert!(rig.bytes(&name).is_empty());
    rig.seal(&keyring, tenant(1), extent(1));
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.start());
}

#[test]
fn rotations_under_load_lose_nothing() {
    let rig = Arc::new(Rig::new(7));
    let keyring = Arc::new(rig.start());
    rig.seal(&keyring, tenant(1), extent(1));
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (rig, keyring) = (Arc::clone(&rig), Arc::clone(&keyring));
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) && number < 20_000 {
                    let owner = tenant(1 + number % 3);
                    // Few extents at a time, as the store has them.
                    let place = extent(2 + (number / 50) as u32);
                    let (key, wrapped) = keyring.make(owner, place).expect("a data key");
                    if number % 7 == writer {
                        std::thread::yield_now();
                    }
                    rig.log.0.lock().push((place, wrapped));
                    rig.sealed.lock().push((place, wrapped, key));
                    number += 1;
                }
            })
        })
        .collect();
    for turn in 0..20 {
        keyring.rotate_tenant(tenant(1)).expect("rotates");
        if turn % 5 == 0 {
            keyring.rotate_root().expect("rotates");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.start());
}

#[test]
fn a_log_that_cannot_be_read_keeps_the_old_key_until_it_can() {
    let rig = Rig::new(8);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    rig.log.1.store(true, Ordering::Relaxed);
    let refused = keyring.rotate_tenant(tenant(1)).expect_err("not all keys were seen");
    assert!(refused.to_string().contains("extent 00000003"), "{refused}");
    rig.seal(&keyring, tenant(1), extent(2));
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    // A start does not wait for it either.
    let keyring = rig.start();
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    rig.log.1.store(false, Ordering::Relaxed);
    let keyring = rig.start();
    assert_eq!(versions(&keyring, tenant(1)), [(2, 2)]);
    rig.check_all(&keyring);
}
