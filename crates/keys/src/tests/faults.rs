//! The disk refuses a call, and goes on working: nothing is lost, and the operation can be
//! repeated.

use super::*;
use testkit::disk::{Failure, Fault, Operation};

const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Write,
    Operation::Flush,
    Operation::FlushDir,
    Operation::Rename,
    Operation::Remove,
    Operation::Resize,
];

/// One call of each kind fails during the operation; then the process goes on, the operation is
/// repeated, and at last the machine loses power.
fn with_every_fault(operation: impl Fn(&Keyring) -> bool, lost: &[TenantId]) {
    for kind in OPERATIONS {
        for (nth, failure) in (1..=5).flat_map(|n| [(n, Failure::Io), (n, Failure::Full)]) {
            let rig = Rig::new(nth);
            let keyring = rig.start();
            for number in 1..=3 {
                rig.seal(&keyring, tenant(number), extent(1));
            }
            keyring.rotate_tenant(tenant(2)).expect("rotates");
            rig.disk.inject(Fault { operation: kind, nth, failure });
            let is_done = operation(&keyring);
            let (gone, kept) = (keyring.index_secret(tenant(1)).is_err(), &[][..]);
            rig.check_all_but(&keyring, if gone { lost } else { kept });
            assert!(!is_done || gone != lost.is_empty());
            // Ordinary work between the failure and the second try.
            for number in 4..=10 {
                let _ = keyring.make(tenant(number), extent(2));
            }
            let again = (0..6).any(|_| operation(&keyring));
            assert!(again, "{kind:?} {nth}");
            // The fault may still wait for its call.
            let _ = keyring.rotate_root();
            rig.seal(&keyring, tenant(3), extent(2));
            rig.check_all_but(&keyring, lost);
            drop(keyring);
            rig.disk.restart();
            rig.check_all_but(&rig.start(), lost);
        }
    }
}

#[test]
fn rotating_the_root_key() {
    with_every_fault(|keyring| keyring.rotate_root().is_ok(), &[]);
}

#[test]
fn rotating_a_tenant() {
    with_every_fault(|keyring| keyring.rotate_tenant(tenant(1)).is_ok(), &[]);
    with_every_fault(|keyring| keyring.rotate_tenant(tenant(2)).is_ok(), &[]);
}

#[test]
fn shredding() {
    with_every_fault(|keyring| keyring.shred(tenant(1)).is_ok(), &[tenant(1)]);
}

#[test]
fn a_root_rotation_that_does_not_tell_how_it_ended_loses_no_key() {
    // The ring's rename happens, the flush after it fails: memory says old, the disk says new.
    for (nth, seed) in (1..=4).flat_map(|nth| (0..8).map(move |seed| (nth, seed))) {
        let rig = Rig::new(seed);
        let keyring = rig.start();
        rig.seal(&keyring, tenant(1), extent(1));
        rig.disk.inject(Fault { operation: Operation::FlushDir, nth, failure: Failure::Io });
        let _ = keyring.rotate_root();
        rig.disk.inject(Fault { operation: Operation::FlushDir, nth, failure: Failure::Io });
        let _ = keyring.rotate_root();
        let now = keyring.status(None, 1).expect("answers").root_id;
        let last = (0..6).find_map(|_| keyring.rotate_root().ok()).expect("rotates at last");
        assert!(last.from == now && last.to != now, "each rotation has a key of its own");
        drop(keyring);
        rig.disk.restart();
        rig.check_all(&rig.start());
    }
}

#[test]
fn the_failure_is_told_while_it_lasts() {
    let rig = Rig::new(1);
    let keyring = rig.start();
    rig.disk.inject(Fault { operation: Operation::Write, nth: 1, failure: Failure::Full });
    let refused = keyring.make(tenant(1), extent(1)).expect_err("no space");
    assert!(refused.to_string().contains("writing the key ring"), "{refused}");
    assert!(keyring.failure().is_some());
    rig.seal(&keyring, tenant(1), extent(1));
    assert!(keyring.failure().is_none());
}
