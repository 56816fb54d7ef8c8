//! The book against a model: whatever is done in whatever order, with restarts in between, an
//! acknowledged record is never leased again, every other one is in the end, keys keep their
//! order, and the committed position never goes back.

use super::{NoJitter, at, book};
use crate::{Book, Due, Kept, Ledger, Place};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use types::Partition;
use types::consumer::Ordering;

const PARTITIONS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// New records, with these keys.
    Admit(usize, Vec<u8>),
    Lease(usize),
    Acknowledge(prop::sample::Index),
    PutOff(prop::sample::Index, u64),
    Extend(prop::sample::Index),
    PassTime(u64),
    Bury,
    /// As it was last kept; what came after is forgotten.
    Restart,
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..PARTITIONS, prop::collection::vec(0..3u8, 1..4))
            .prop_map(|(partition, keys)| Step::Admit(partition, keys)),
        4 => (1..5usize).prop_map(Step::Lease),
        4 => index().prop_map(Step::Acknowledge),
        2 => (index(), 0..2_000u64).prop_map(|(index, ms)| Step::PutOff(index, ms)),
        1 => index().prop_map(Step::Extend),
        2 => (0..2_000u64).prop_map(Step::PassTime),
        1 => Just(Step::Bury),
        1 => Just(Step::Restart),
        2 => Just(Step::Keep),
    ]
}

struct Model {
    book: Book,
    ordering: Ordering,
    now_ms: u64,
    keys: BTreeMap<Place, u64>,
    /// Everything ever leased, newest last.
    leased: Vec<Due>,
    done: BTreeSet<Place>,
    kept: Vec<Kept>,
    done_kept: BTreeSet<Place>,
    committed: Vec<u64>,
}

impl Model {
    fn new(ordering: Ordering) -> Model {
        let mut model = Model {
            book: book(PARTITIONS, ordering),
            ordering,
            now_ms: 0,
            keys: BTreeMap::new(),
            leased: Vec::new(),
            done: BTreeSet::new(),
            kept: Vec::new(),
            done_kept: BTreeSet::new(),
            committed: vec![0; PARTITIONS],
        };
        model.keep();
        model
    }

    fn keep(&mut self) {
        let nothing = BTreeSet::new();
        let keep = |(_, ledger): (Partition, &Ledger)| {
            let kept = ledger.keep(0, &nothing, at(self.now_ms), self.now_ms as i64);
            Kept::decode(&kept.encode()).expect("what was encoded")
        };
        self.kept = self.book.ledgers().map(keep).collect();
        self.done_kept = self.done.clone();
    }

    fn restart(&mut self) {
        let restore = |kept| Ledger::restore(kept, at(self.now_ms), self.now_ms as i64);
        let ledgers: Vec<Ledger> = self.kept.iter().map(restore).collect();
        self.book = Book::new(self.book.terms.clone(), 0, ledgers);
        for partition in 0..PARTITIONS as Partition {
            let Some(ledger) = self.book.ledger(partition) else { continue };
            for offset in ledger.keyless() {
                ledger.tell_key(offset, self.keys[&Place { partition, offset }]);
            }
        }
        self.done = self.done_kept.clone();
        self.committed = self.kept.iter().map(|kept| kept.committed).collect();
    }

    fn lease(&mut self, count: usize) -> Result<usize, TestCaseError> {
        let leased = self.book.lease(count, at(self.now_ms));
        for due in &leased {
            prop_assert!(!self.done.contains(&due.place), "{due:?} is acknowledged");
            prop_assert!(due.deliveries <= 3, "{due:?}");
            if self.ordering == Ordering::Key {
                let key = self.keys[&due.place];
                let is_earlier = |(place, other): (&Place, &u64)| {
                    *place < due.place && place.partition == due.place.partition && *other == key
                };
                let earlier = self.keys.iter().filter(|one| is_earlier(*one));
                let next = self.book.ledgers().map(|(_, it)| it.next()).collect::<Vec<_>>();
                let open = earlier.map(|(place, _)| *place).find(|place| {
                    !self.done.contains(place) && place.offset < next[place.partition as usize]
                });
                prop_assert_eq!(open, None, "before {:?}", due);
            }
        }
        self.leased.extend(&leased);
        Ok(leased.len())
    }

    fn chosen(&self, index: prop::sample::Index) -> Option<Due> {
        (!self.leased.is_empty()).then(|| *index.get(&self.leased))
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Admit(partition, keys) => self.admit(*partition as Partition, keys),
            Step::Lease(count) => {
                self.lease(*count)?;
            }
            Step::Acknowledge(index) => {
                if let Some(due) = self.chosen(*index).filter(|due| self.book.check(*due).is_ok()) {
                    self.book.ledger(due.place.partition).unwrap().acknowledge(due.place.offset);
                    self.done.insert(due.place);
                }
            }
            Step::PutOff(index, ms) => {
                if let Some(due) = self.chosen(*index).filter(|due| self.book.check(*due).is_ok()) {
                    let ledger = self.book.ledger(due.place.partition).unwrap();
                    ledger.put_off(due.place.offset, at(self.now_ms + ms));
                }
            }
            Step::Extend(index) => {
                if let Some(due) = self.chosen(*index).filter(|due| self.book.check(*due).is_ok()) {
                    let ledger = self.book.ledger(due.place.partition).unwrap();
                    ledger.extend(due.place.offset, at(self.now_ms + 1_000));
                }
            }
            Step::PassTime(ms) => self.pass(*ms),
            Step::Bury => self.bury(),
            Step::Keep => self.keep(),
            Step::Restart => self.restart(),
        }
        for (partition, ledger) in self.book.ledgers() {
            let before = &mut self.committed[partition as usize];
            prop_assert!(ledger.committed() >= *before && ledger.committed() <= ledger.next());
            *before = ledger.committed();
        }
        let pending: usize = self.book.ledgers().map(|(_, ledger)| ledger.pending()).sum();
        prop_assert!(pending <= 8, "bounded");
        Ok(())
    }

    fn admit(&mut self, partition: Partition, keys: &[u8]) {
        for &key in keys {
            if self.book.room() == 0 {
                return;
            }
            let terms = self.book.terms.clone();
            let ledger = self.book.ledger(partition).unwrap();
            let place = Place { partition, offset: ledger.next() };
            // A record that was forgotten at a restart is the same again.
            let key = *self.keys.entry(place).or_insert(u64::from(key));
            ledger.admit(place.offset, Some(key), &terms);
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.book.turn(at(self.now_ms), &NoJitter);
    }

    fn bury(&mut self) {
        for due in self.book.doomed(2) {
            self.book.ledger(due.place.partition).unwrap().acknowledge(due.place.offset);
            self.done.insert(due.place);
        }
    }

    /// Everything that is open is leased or buried in the end.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..200 {
            self.pass(2_000);
            self.bury();
            let first = self.leased.len();
            self.lease(100)?;
            for due in self.leased.split_off(first) {
                self.book.ledger(due.place.partition).unwrap().acknowledge(due.place.offset);
                self.done.insert(due.place);
            }
        }
        for (_, ledger) in self.book.ledgers() {
            prop_assert_eq!((ledger.pending(), ledger.committed()), (0, ledger.next()));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_things_keeps_the_promises(
        steps in prop::collection::vec(step(), 1..120),
        is_ordered in any::<bool>(),
    ) {
        let mut model = Model::new(if is_ordered { Ordering::Key } else { Ordering::None });
        for step in &steps {
            model.take(step)?;
        }
        model.drain()?;
    }
}
