//! Any sequence of what operators and the store do, with restarts and crashes in between: every
//! data key opens to what it was, unless its tenant was shredded, and then none does.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Seal {
        owner: u128,
        place: u32,
    },
    RotateTenant(u128),
    RotateRoot,
    Shred(u128),
    ExportImport,
    Restart,
    /// The machine loses power at that change of the next step.
    CrashWithin(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6u128, 0..20u32).prop_map(|(owner, place)| Step::Seal { owner, place }),
        3 => (1..6u128).prop_map(Step::RotateTenant),
        1 => Just(Step::RotateRoot),
        1 => (1..6u128).prop_map(Step::Shred),
        1 => Just(Step::ExportImport),
        2 => Just(Step::Restart),
        2 => (1..12u64).prop_map(Step::CrashWithin),
    ]
}

/// What is certain, and what a crash left open.
#[derive(Default)]
struct Model {
    shredded: Vec<TenantId>,
    maybe: Vec<TenantId>,
}

fn perform(rig: &Rig, keyring: &Keyring, step: &Step, model: &mut Model) {
    match step {
        Step::Seal { owner, place } => {
            let (owner, place) = (tenant(*owner), extent(*place));
            if let Ok((key, wrapped)) = keyring.make(owner, place) {
                assert!(!model.shredded.contains(&owner));
                rig.log.0.lock().push((place, wrapped));
                rig.sealed.lock().push((place, wrapped, key));
            }
        }
        Step::RotateTenant(owner) => {
            let _ = keyring.rotate_tenant(tenant(*owner));
        }
        Step::RotateRoot => {
            let _ = keyring.rotate_root();
        }
        Step::Shred(owner) => match keyring.shred(tenant(*owner)) {
            Ok(_) => model.shredded.push(tenant(*owner)),
            Err(_) => model.maybe.push(tenant(*owner)),
        },
        Step::ExportImport => {
            if let Ok(export) = keyring.export() {
                let _ = keyring.import(&export);
            }
        }
        Step::Restart | Step::CrashWithin(_) => {}
    }
}

fn check(rig: &Rig, keyring: &Keyring, model: &mut Model) {
    for owner in std::mem::take(&mut model.maybe) {
        if keyring.index_secret(owner).is_err() {
            model.shredded.push(owner);
        }
    }
    rig.check_all_but(keyring, &model.shredded);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_is_lost_but_what_was_shredded(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..25),
    ) {
        let rig = Rig::new(seed);
        let mut keyring = Some(rig.start());
        let mut model = Model::default();
        for step in &steps {
            let now = keyring.take().unwrap_or_else(|| rig.start());
            match step {
                Step::CrashWithin(change) => {
                    rig.disk.crash_at(rig.disk.changes() + change);
                    keyring = Some(now);
                    continue;
                }
                Step::Restart => {
                    drop(now);
                    rig.disk.restart();
                }
                step => {
                    perform(&rig, &now, step, &mut model);
                    if rig.disk.is_crashed() {
                        drop(now);
                        rig.disk.restart();
                    } else {
                        keyring = Some(now);
                    }
                }
            }
            if let Some(keyring) = &keyring {
                check(&rig, keyring, &mut model);
            } else {
                let started = rig.start();
                check(&rig, &started, &mut model);
                keyring = Some(started);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut ring = b"MSKEYRNG\x01\x00".to_vec();
        ring.extend_from_slice(&bytes);
        let _ = crate::Ring::decode(&ring);
        let mut table = b"MSREWRAP\x01\x00".to_vec();
        table.extend_from_slice(&bytes);
        let _ = crate::RewrappedTable::decode(&table);
        let mut export = b"MSKEYEXP\x01\x00".to_vec();
        export.extend_from_slice(&bytes);
        let _ = crate::transfer::Bundle::decode(&export);
    }
}
