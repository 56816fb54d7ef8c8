//! A log without threads, so that everything happens exactly when a test says so.

use super::*;
use crate::Driver;

/// A log whose threads are the test's own hands.
pub struct Hands {
    pub bed: Bed,
    pub log: Arc<EmbeddedLog>,
    pub driver: Driver,
}

impl Hands {
    pub fn open(bed: Bed) -> Hands {
        let world = World {
            disk: bed.disk.clone(),
            clock: bed.clock.clone(),
            rng: SeededRng::shared(5),
            keys: bed.keys.clone(),
        };
        let (log, driver, _) =
            EmbeddedLog::open_driven(world, bed.options.clone(), bed.topics.clone())
                .expect("opens");
        Hands { bed, log, driver }
    }

    pub fn reopen(self) -> Hands {
        let Hands { bed, log, driver } = self;
        driver.stop();
        drop(log);
        let mut hands = Hands::open(bed);
        hands.run();
        hands
    }

    pub fn crash(self) -> Hands {
        let Hands { bed, log, driver } = self;
        bed.disk.crash();
        drop((log, driver));
        bed.disk.restart();
        let mut hands = Hands::open(bed);
        hands.run();
        hands
    }

    pub fn run(&mut self) {
        while self.driver.commit() || self.driver.seal() || self.driver.shrink() {}
    }

    pub async fn append(&mut self, topic: TopicId, record: Record) -> Offset {
        let pending = self.log.append(topic, 0, vec![record]);
        self.run();
        pending.await.expect("is stored").base_offset
    }

    pub fn collect(&mut self) -> usize {
        let mut runs = 0;
        while self.driver.collect() {
            runs += 1;
            assert!(runs < 100, "the collector never comes to an end");
        }
        self.run();
        runs
    }

    /// Offset, key and value, as far as it tells records apart, of everything from `from` on.
    pub async fn rows(
        &self,
        topic: TopicId,
        from: Offset,
    ) -> Vec<(Offset, Option<String>, String)> {
        let mut rows = Vec::new();
        let mut next = from;
        loop {
            let batches = self.log.read(topic, 0, next, 1 << 20).await.expect("reads");
            let Some(last) = batches.last() else { break };
            next = last.next_offset();
            for batch in &batches {
                for (offset, _, record) in batch.records().filter(|row| row.0 >= from) {
                    let key = record.key.as_ref();
                    let key = key.map(|key| String::from_utf8_lossy(key.bytes()).into_owned());
                    rows.push((offset, key, text(&record).trim_end_matches('_').to_owned()));
                }
            }
        }
        rows
    }
}
