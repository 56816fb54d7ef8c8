//! Pins: what is pinned stays, what is not goes, and a pin never stands in the way for ever.

use super::{Rig, frame, options};
use crate::{ExtentCut, PinLost, StoreError};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::disk::SimDisk;

const LEASE: Duration = Duration::from_secs(60);

/// A store with three sealed extents and an open one.
fn filled(disk: &std::sync::Arc<SimDisk>) -> Rig {
    let mut rig = Rig::open_with(disk, options()).expect("opens");
    for offset in 0..14 {
        rig.append([frame(1, offset, 240 << 10)]).expect("acknowledged");
    }
    rig.seal();
    rig
}

fn release(rig: &Rig, cut: &ExtentCut) -> Result<(), StoreError> {
    rig.store.release(cut.extent, cut.generation)
}

#[test]
fn what_is_pinned_is_not_released() {
    let rig = filled(&SimDisk::shared(1));
    let pin = rig.store.pin(LEASE).expect("pinned");
    let cuts = pin.cut();
    assert!(cuts.len() >= 3, "{cuts:?}");
    assert!(matches!(release(&rig, &cuts[0]), Err(StoreError::InUse(_))));
    pin.give_up(cuts[0].extent, cuts[0].generation);
    release(&rig, &cuts[0]).expect("given up");
    assert!(matches!(release(&rig, &cuts[1]), Err(StoreError::InUse(_))));
    drop(pin);
    release(&rig, &cuts[1]).expect("nobody holds it");
}

#[test]
fn before_the_cut_everything_is_held_and_afterwards_what_was_there() {
    let mut rig = filled(&SimDisk::shared(2));
    let pin = rig.store.pin(LEASE).expect("pinned");
    let other = rig.store.pin(LEASE).expect("a second one");
    let cuts = other.cut();
    drop(other);
    assert!(matches!(release(&rig, &cuts[0]), Err(StoreError::InUse(_))));
    pin.cut();
    for offset in 14..24 {
        rig.append([frame(1, offset, 240 << 10)]).expect("acknowledged");
    }
    rig.seal();
    let late = rig.store.pin(LEASE).expect("pinned").cut();
    let new = late.iter().filter(|cut| !cuts.iter().any(|old| old.extent == cut.extent));
    let sealed = new.clone().next().expect("a new extent");
    assert!(new.count() > 1);
    release(&rig, sealed).expect("it was not there at the cut");
}

#[test]
fn all_that_was_acknowledged_lies_below_the_end_of_the_cut() {
    let mut rig = filled(&SimDisk::shared(3));
    let entries = rig.append([frame(2, 0, 100)]).expect("acknowledged");
    let cuts = rig.store.pin(LEASE).expect("pinned").cut();
    let at = entries[0].1.location;
    let cut = cuts.iter().find(|cut| cut.extent == at.extent).expect("there");
    assert!(u64::from(at.position + at.len) <= cut.data_end);
    assert!(cut.data_end.is_multiple_of(4096) && cut.data_end <= cut.file_bytes);
}

#[test]
fn a_pin_ends_with_its_lease_and_when_space_is_lacking() {
    let rig = filled(&SimDisk::shared(4));
    let short = rig.store.pin(Duration::ZERO).expect("pinned");
    let cuts = short.cut();
    release(&rig, &cuts[0]).expect("the lease is over");
    assert_eq!(short.renew(), Err(PinLost::Expired));
    let long = rig.store.pin(LEASE).expect("pinned");
    long.cut();
    assert_eq!(long.renew(), Ok(()));
    rig.store.inner.counters.is_full.store(true, Ordering::Relaxed);
    release(&rig, &cuts[1]).expect("space is worth more than the copy");
    assert_eq!(long.renew(), Err(PinLost::Space));
}

#[test]
fn pins_are_bounded() {
    let rig = filled(&SimDisk::shared(5));
    let held: Vec<_> = (0..4).map(|_| rig.store.pin(LEASE).expect("pinned")).collect();
    assert!(rig.store.pin(LEASE).is_err());
    drop(held);
    rig.store.pin(LEASE).expect("given back");
}

#[test]
fn the_cut_after_a_restart_covers_what_recovery_found() {
    let disk = SimDisk::shared(6);
    let rig = filled(&disk);
    let before = rig.store.pin(LEASE).expect("pinned").cut();
    rig.close();
    disk.restart();
    let rig = Rig::open_with(&disk, options()).expect("opens");
    let after = rig.store.pin(LEASE).expect("pinned").cut();
    let ends = |cuts: &[ExtentCut]| {
        cuts.iter().map(|cut| (cut.extent, cut.salt, cut.data_end)).collect::<Vec<_>>()
    };
    assert_eq!(ends(&after), ends(&before));
}
