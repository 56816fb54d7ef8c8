//! Power is lost at every single change that an operation makes to the disk: afterwards the ring
//! opens, and everything opens that should.

use super::*;

const SEEDS: u64 = 6;

/// What stands before the operation: three tenants, one of them rotated before, one shredded.
fn stage(seed: u64) -> (Rig, Keyring) {
    let rig = Rig::new(seed);
    let keyring = rig.start();
    for number in 1..=4 {
        rig.seal(&keyring, tenant(number), extent(1));
        rig.seal(&keyring, tenant(number), extent(2));
    }
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    keyring.shred(tenant(4)).expect("shreds");
    (rig, keyring)
}

/// Crashes at each change in turn, restarts, and lets `check` look; it is told whether the
/// operation had said that it was done.
fn at_every_change(
    operation: impl Fn(&Rig, &Keyring) -> bool,
    check: impl Fn(&Rig, &Keyring, bool),
) {
    let (rig, keyring) = stage(0);
    let before = rig.disk.changes();
    assert!(operation(&rig, &keyring), "it works when nothing crashes");
    let changes = rig.disk.changes() - before;
    assert!(changes >= 4, "{changes}");
    for seed in 0..SEEDS {
        for change in 1..=changes + 1 {
            let (rig, keyring) = stage(seed);
            rig.disk.crash_at(rig.disk.changes() + change);
            let is_done = operation(&rig, &keyring);
            assert!(is_done || rig.disk.is_crashed(), "change {change}");
            drop(keyring);
            rig.disk.restart();
            let keyring = rig.start();
            check(&rig, &keyring, is_done);
            // And it is in order, not only readable: the same can be done again.
            rig.seal(&keyring, tenant(1), extent(9));
            keyring.rotate_root().expect("rotates");
            keyring.rotate_tenant(tenant(1)).expect("rotates");
            drop(keyring);
            rig.disk.restart();
            check(&rig, &rig.start(), is_done);
        }
    }
}

#[test]
fn rotating_the_root_key() {
    at_every_change(
        |_, keyring| keyring.rotate_root().is_ok(),
        |rig, keyring, _| rig.check_all_but(keyring, &[tenant(4)]),
    );
}

#[test]
fn rotating_a_tenant_for_the_first_time() {
    at_every_change(
        |_, keyring| keyring.rotate_tenant(tenant(1)).is_ok(),
        |rig, keyring, _| {
            rig.check_all_but(keyring, &[tenant(4)]);
            assert_eq!(keyring.status(None, 9).expect("answers").rotating_count, 0);
        },
    );
}

#[test]
fn rotating_a_tenant_again() {
    at_every_change(
        |rig, keyring| {
            let Ok((key, wrapped)) = keyring.make(tenant(2), extent(3)) else { return false };
            rig.log.0.lock().push((extent(3), wrapped));
            rig.sealed.lock().push((extent(3), wrapped, key));
            keyring.rotate_tenant(tenant(2)).is_ok()
        },
        |rig, keyring, _| {
            rig.check_all_but(keyring, &[tenant(4)]);
            assert_eq!(keyring.status(None, 9).expect("answers").rotating_count, 0);
        },
    );
}

#[test]
fn shredding() {
    at_every_change(
        |_, keyring| keyring.shred(tenant(2)).is_ok(),
        |rig, keyring, is_done| {
            let is_gone = keyring.index_secret(tenant(2)).is_err();
            assert!(is_gone || !is_done, "what was shredded came back");
            let lost: &[_] = if is_gone { &[tenant(2), tenant(4)] } else { &[tenant(4)] };
            rig.check_all_but(keyring, lost);
        },
    );
}

#[test]
fn a_tenants_first_keys() {
    at_every_change(
        |rig, keyring| match keyring.make(tenant(8), extent(3)) {
            // The store writes the frame, and the wrapped key with it, only now.
            Ok((key, wrapped)) => {
                rig.log.0.lock().push((extent(3), wrapped));
                rig.sealed.lock().push((extent(3), wrapped, key));
                true
            }
            Err(_) => false,
        },
        |rig, keyring, _| rig.check_all_but(keyring, &[tenant(4)]),
    );
}

#[test]
fn importing() {
    at_every_change(
        |_, keyring| {
            let export = keyring.export().expect("exports");
            keyring.import(&export).is_ok()
        },
        |rig, keyring, _| rig.check_all_but(keyring, &[tenant(4)]),
    );
}

#[test]
fn the_very_first_start() {
    for seed in 0..SEEDS {
        for change in 1..=12 {
            let rig = Rig::new(seed);
            rig.disk.crash_at(change);
            let keyring = rig.open(file_source());
            if let Ok(keyring) = &keyring
                && let Ok((key, wrapped)) = keyring.make(tenant(1), extent(1))
            {
                rig.log.0.lock().push((extent(1), wrapped));
                rig.sealed.lock().push((extent(1), wrapped, key));
            }
            drop(keyring);
            rig.disk.restart();
            let keyring = rig.start();
            rig.check_all(&keyring);
        }
    }
}
