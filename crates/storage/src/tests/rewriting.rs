//! Extents written in place of others: what counts before, after and at every step between, also
//! when the power goes.

use super::{Rig, frame, options, stream};
use crate::extent::Expiring;
use crate::{Entry, ExtentRef, Frame, Options, Rewritten, Store, StoreError};
use bytes::Bytes;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use testkit::disk::{Failure, Fault, Operation, SimDisk};

const BODY_BYTES: usize = 20_000;
/// Enough for three full extents.
const FRAMES: u64 = 150;

/// What each stream has: offsets, and a digest of each body.
type Held = Vec<Vec<(u64, u64)>>;

fn filled(disk: &Arc<SimDisk>) -> Rig {
    let mut rig = Rig::open_with(disk, Options { pool_extents: 0, ..options() }).unwrap();
    for offset in 0..FRAMES {
        rig.append([frame(offset % 3, offset / 3, BODY_BYTES)]).unwrap();
    }
    rig.seal();
    rig
}

fn held(rig: &Rig) -> Held {
    let digest = |body: Bytes| BuildHasherDefault::<DefaultHasher>::default().hash_one(body);
    let rows = |number| rig.read_all(number).unwrap().into_iter();
    (0..3).map(|number| rows(number).map(|(at, body)| (at, digest(body))).collect()).collect()
}

/// Where each stream's part in the oldest two extents ends.
fn ends(store: &Arc<Store>) -> [u64; 3] {
    let second = store.sealed()[1].extent;
    [0, 1, 2].map(|number| {
        store.entries(second.id, stream(number)).unwrap().last().unwrap().next_offset()
    })
}

fn copy(entry: &Entry, number: u64, body: Bytes) -> Frame {
    Frame { base_offset: entry.base_offset, body, ..frame(number, entry.base_offset, 0) }
}

/// Writes every second frame of stream 0 and all of stream 1 of the oldest two extents into one
/// new extent; stream 2 is given up.
fn rewrite(store: &Arc<Store>) -> Result<(Vec<ExtentRef>, Rewritten), StoreError> {
    let inputs: Vec<_> = store.sealed().into_iter().take(2).map(|it| it.extent).collect();
    let mut rewrite = store.rewrite(inputs.clone(), 2 << 20)?;
    for number in 0..2 {
        for input in &inputs {
            let entries = store.entries(input.id, stream(number))?;
            let entries = entries.iter().filter(|it| number == 1 || it.base_offset % 2 == 0);
            let frames = entries.map(|entry| {
                let body = store.read(entry.location, stream(number))?;
                Ok(copy(entry, number, body))
            });
            rewrite.append(&frames.collect::<Result<Vec<_>, StoreError>>()?)?;
        }
    }
    let rewritten = rewrite.commit(Expiring { at: 77, bytes: 9 })?;
    Ok((inputs, rewritten))
}

fn release(store: &Arc<Store>, inputs: &[ExtentRef]) -> Result<(), StoreError> {
    inputs.iter().try_for_each(|input| store.release(input.id, input.generation))
}

/// What is expected once the rewrite counts.
fn thinned(before: &Held, ends: [u64; 3]) -> Held {
    let mut after = before.clone();
    after[0].retain(|(offset, _)| *offset >= ends[0] || offset % 2 == 0);
    after[2].retain(|(offset, _)| *offset >= ends[2]);
    after
}

#[test]
fn a_rewritten_extent_stands_for_what_it_replaced() {
    let disk = SimDisk::shared(1);
    let rig = filled(&disk);
    let before = held(&rig);
    let expected = thinned(&before, ends(&rig.store));
    let order = rig.store.sealed()[1].order;
    let (inputs, rewritten) = rewrite(&rig.store).unwrap();
    // Readers under way still find what was replaced.
    assert!(rig.store.entries(inputs[0].id, stream(2)).is_ok());
    release(&rig.store, &inputs).unwrap();
    let sealed = rig.store.sealed()[0];
    assert_eq!((sealed.extent, sealed.order), (rewritten.extent, order));
    assert_eq!(sealed.expiring, Expiring { at: 77, bytes: 9 });
    assert_eq!(held(&rig), expected);
    let described = rig.store.sealed();
    rig.close();
    let rig = Rig::open(&disk).unwrap();
    assert_eq!(held(&rig), expected);
    assert_eq!(rig.store.sealed()[0], described[0]);
    assert!(rig.recovery.damaged.is_empty());
}

#[test]
fn a_rewrite_given_up_leaves_nothing() {
    let disk = SimDisk::shared(2);
    let rig = filled(&disk);
    let (before, sealed) = (held(&rig), rig.store.sealed());
    let inputs = vec![sealed[0].extent];
    let mut rewrite = rig.store.rewrite(inputs, 1 << 20).unwrap();
    rewrite.append(&[frame(0, 0, 10)]).unwrap();
    drop(rewrite);
    assert_eq!((held(&rig), rig.store.sealed()), (before.clone(), sealed));
    rig.close();
    assert_eq!(held(&Rig::open(&disk).unwrap()), before);
}

#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new() {
    let disk = SimDisk::shared(3);
    let rig = filled(&disk);
    let first = disk.changes();
    let before = held(&rig);
    let after = thinned(&before, ends(&rig.store));
    let (inputs, _) = rewrite(&rig.store).unwrap();
    release(&rig.store, &inputs).unwrap();
    let last = disk.changes();
    let (mut old, mut new) = (0, 0);
    for change in first + 1..=last {
        for direct in [Some(4096), None] {
            let disk = SimDisk::shared(change);
            disk.set_direct_align(direct);
            let rig = filled(&disk);
            disk.crash_at(disk.changes() + (change - first));
            let done = rewrite(&rig.store).and_then(|(inputs, _)| release(&rig.store, &inputs));
            drop(rig);
            disk.restart();
            let rig = Rig::open(&disk).unwrap();
            let found = held(&rig);
            assert!(found == before || found == after, "crash at change {change}: {done:?}");
            assert!(done.is_err() || found == after, "crash at change {change}");
            *(if found == before { &mut old } else { &mut new }) += 1;
            assert!(rig.recovery.damaged.is_empty());
            // The next start agrees, and another rewrite works.
            rig.seal();
            rewrite(&rig.store).unwrap();
            rig.close();
            Rig::open(&disk).unwrap();
        }
    }
    assert!(old > 10 && new > 2, "{old} crashes before the commit point, {new} after");
}

#[test]
fn what_could_not_be_removed_never_comes_back() {
    let disk = SimDisk::shared(4);
    let rig = filled(&disk);
    let expected = thinned(&held(&rig), ends(&rig.store));
    let (inputs, rewritten) = rewrite(&rig.store).unwrap();
    disk.inject(Fault { operation: Operation::Remove, nth: 1, failure: Failure::Io });
    // The pool wants one of them, the other is to be removed.
    let released = inputs.iter().map(|it| rig.store.release(it.id, it.generation));
    assert_eq!(released.filter(Result::is_err).count(), 1);
    assert_eq!(rig.store.inner.leftovers.lock().stuck(), 1);
    // The replacement is replaced too: now only its successor knows of the first.
    let input = vec![rewritten.extent];
    disk.inject(Fault { operation: Operation::Remove, nth: 1, failure: Failure::Io });
    let mut again = rig.store.rewrite(input.clone(), 2 << 20).unwrap();
    for span in &rewritten.spans {
        for entry in rig.store.entries(rewritten.extent.id, span.stream).unwrap().iter() {
            let body = rig.store.read(entry.location, span.stream).unwrap();
            again.append(&[copy(entry, span.stream.topic.0, body)]).unwrap();
        }
    }
    again.commit(Expiring::default()).unwrap();
    release(&rig.store, &input).unwrap();
    drop(rig);
    disk.restart();
    assert_eq!(held(&Rig::open(&disk).unwrap()), expected);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let disk = SimDisk::shared(5);
    let rig = filled(&disk);
    let before = held(&rig);
    let inputs = vec![rig.store.sealed()[0].extent];
    let refused = rig.store.rewrite(inputs, 2 << 40);
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    for nth in 1.. {
        disk.inject(Fault { operation: Operation::Write, nth, failure: Failure::Full });
        let outcome = rewrite(&rig.store);
        if let Ok((_, rewritten)) = outcome {
            assert!(nth > 3, "several writes were refused");
            assert_ne!(rewritten.spans, []);
            break;
        }
        assert!(matches!(outcome, Err(StoreError::Full(_) | StoreError::Format(_))));
        assert_eq!(held(&rig), before);
    }
}
