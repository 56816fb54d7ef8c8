//! Export and import: what is lost comes back, what was shredded does not.

use super::*;
use crate::Imported;

fn made() -> (Rig, Keyring) {
    let rig = Rig::new(1);
    let keyring = rig.start();
    for number in 1..=3 {
        rig.seal(&keyring, tenant(number), extent(1));
    }
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    (rig, keyring)
}

fn lose_the_ring(rig: &Rig) {
    let names: Vec<_> = rig.disk_names();
    for name in names.iter().filter(|name| *name != "root.key" && *name != "lock") {
        crate::folder::destroy(&*rig.disk, &Path::new(DIR).join(name)).expect("removes");
    }
}

impl Rig {
    fn disk_names(&self) -> Vec<String> {
        let names = stdx::Disk::list(&*self.disk, Path::new(DIR)).expect("lists");
        names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn a_lost_ring_comes_back_whole() {
    let (rig, keyring) = made();
    keyring.shred(tenant(3)).expect("shreds");
    let export = keyring.export().expect("exports");
    drop(keyring);
    rig.disk.restart();
    lose_the_ring(&rig);
    let keyring = Keyring::open(rig.world(), Path::new(DIR), file_source()).expect("opens");
    let imported = keyring.import(&export).expect("imports");
    let whole =
        Imported { tenants_added: 2, data_keys_added: 1, shredded_kept: 1, ..Imported::default() };
    assert_eq!(imported, whole);
    drop(keyring);
    rig.disk.restart();
    rig.check_all_but(&rig.start(), &[tenant(3)]);
}

#[test]
fn an_older_export_brings_no_shredded_tenant_back() {
    let (rig, keyring) = made();
    let export = keyring.export().expect("exports");
    keyring.shred(tenant(1)).expect("shreds");
    keyring.shred(tenant(2)).expect("shreds");
    let imported = keyring.import(&export).expect("imports");
    assert_eq!(imported, Imported { shredded_kept: 2, ..Imported::default() });
    rig.check_all_but(&keyring, &[tenant(1), tenant(2)]);
    drop(keyring);
    rig.disk.restart();
    rig.check_all_but(&rig.start(), &[tenant(1), tenant(2)]);
}

#[test]
fn a_newer_export_shreds_what_it_says_is_shredded() {
    let (rig, keyring) = made();
    let older = rig.bytes("ring");
    keyring.shred(tenant(1)).expect("shreds");
    let export = keyring.export().expect("exports");
    drop(keyring);
    rig.disk.restart();
    rig.put("ring", &older);
    let keyring = rig.start();
    let epoch = keyring.epoch();
    assert_eq!(keyring.import(&export).expect("imports").shredded_added, 1);
    assert!(keyring.epoch() > epoch);
    rig.check_all_but(&keyring, &[tenant(1)]);
}

#[test]
fn versions_that_were_dropped_come_back_for_an_old_backup() {
    let rig = Rig::new(2);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    let export = keyring.export().expect("exports");
    // The extent is released, so that the rotation knows nothing of its key.
    let backup = std::mem::take(&mut *rig.log.0.lock());
    let (sealed, fresh) =
        (std::mem::take(&mut *rig.sealed.lock()), (0..40).map(|n| extent(50 + n)));
    fresh.for_each(|place| rig.seal(&keyring, tenant(2), place));
    keyring.rotate_tenant(tenant(1)).expect("rotates");
    rig.sealed.lock().extend(sealed);
    rig.log.0.lock().extend(backup);
    let (place, wrapped, key) = rig.sealed.lock().last().cloned().expect("one");
    assert!(keyring.open(place, &wrapped).is_err());
    let imported = keyring.import(&export).expect("imports");
    assert_eq!(imported.versions_added, 1);
    assert_eq!(keyring.open(place, &wrapped).expect("opens").bytes(), key.bytes());
    rig.seal(&keyring, tenant(1), extent(3));
    drop(keyring);
    rig.disk.restart();
    let keyring = rig.start();
    rig.check_all(&keyring);
    assert_eq!(keyring.rotate_tenant(tenant(1)).expect("rotates").rewrapped, 2);
    rig.check_all(&keyring);
}

#[test]
fn rewrapped_keys_come_back_too() {
    let (rig, keyring) = made();
    let export = keyring.export().expect("exports");
    rig.seal(&keyring, tenant(2), extent(5));
    keyring.rotate_tenant(tenant(2)).expect("rotates");
    // What the export knows of extent 1 is known here, under another version.
    let imported = keyring.import(&export).expect("imports");
    assert_eq!((imported.versions_added, imported.data_keys_added), (1, 0));
    rig.check_all(&keyring);
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.start());
}

#[test]
fn exports_are_worth_nothing_without_their_root_key() {
    let (rig, keyring) = made();
    let export = keyring.export().expect("exports");
    for (_, _, key) in &*rig.sealed.lock() {
        assert!(!export.windows(32).any(|window| window == key.bytes()));
    }
    let root = rig.bytes("root.key");
    assert!(!export.windows(16).any(|window| window == &root[..16]));
    let other = Rig::new(9);
    let refused = other.start().import(&export).expect_err("another root key");
    assert!(refused.to_string().contains("under another root key"), "{refused}");
}

#[test]
fn after_a_root_rotation_old_exports_need_the_old_root_key() {
    let (rig, keyring) = made();
    let (export, root) = (keyring.export().expect("exports"), rig.bytes("root.key"));
    keyring.rotate_root().expect("rotates");
    keyring.import(&export).expect_err("made under the old one");
    drop(keyring);
    rig.disk.restart();
    rig.put("old.key", &root);
    let next = Some(RootSource::File(Path::new(DIR).join("old.key")));
    let keyring = rig.open(Sources { next, ..file_source() }).expect("opens");
    assert_eq!(keyring.import(&export).expect("imports"), Imported::default());
    rig.check_all(&keyring);
}

#[test]
fn an_export_that_was_touched_is_refused_and_changes_nothing() {
    let (rig, keyring) = made();
    let export = keyring.export().expect("exports");
    let ring = rig.bytes("ring");
    for at in 0..export.len() {
        let mut changed = export.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = keyring.import(&changed);
        assert!(matches!(refused, Err(KeysError::Export(_))), "byte {at}: {refused:?}");
        keyring.import(&export[..at]).expect_err("cut off");
    }
    assert_eq!(rig.bytes("ring"), ring);
    rig.check_all(&keyring);
}
