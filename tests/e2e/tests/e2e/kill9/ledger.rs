//! What was found in the log, and whether it is what it must be.

use super::load::Acked;
use crate::stand::got::Got;
use crate::stand::within;
use reqwest::Client;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What an acknowledgement of the topic promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It is on the disk: every offset up to the end has a record.
    Stored,
    /// It is in memory: the newest may be lost, and their offsets are never given again.
    Accepted,
}

pub struct Ledger {
    topic: &'static str,
    promise: Promise,
    /// Publisher and sequence of each record, by partition and offset.
    partitions: HashMap<u64, BTreeMap<u64, (u64, u64)>>,
    /// What was acknowledged at an offset, found or not.
    given: HashMap<(u64, u64), (u64, u64)>,
    /// The last sequence of a publisher in a partition.
    last: HashMap<(u64, u64), u64>,
    /// Where a key's records lie.
    homes: HashMap<Vec<u8>, u64>,
    cursor: Option<String>,
    pub acked_count: u64,
    /// Acknowledged and gone, which only `Accepted` allows.
    pub lost_count: u64,
}

impl Ledger {
    pub fn new(topic: &'static str, promise: Promise) -> Ledger {
        Ledger {
            topic,
            promise,
            partitions: HashMap::new(),
            given: HashMap::new(),
            last: HashMap::new(),
            homes: HashMap::new(),
            cursor: None,
            acked_count: 0,
            lost_count: 0,
        }
    }

    pub fn topic(&self) -> &'static str {
        self.topic
    }

    /// Of the same topic, with nothing read yet.
    pub fn anew(&self) -> Ledger {
        Ledger::new(self.topic, self.promise)
    }

    /// Reads all that is new since the last time and checks its order; answers how much it was.
    pub async fn read_on(&mut self, url: &str, secret: &str) -> usize {
        let client = Client::new();
        let mut found = 0;
        loop {
            let from = self.cursor.as_deref().unwrap_or("earliest");
            let url = format!("{url}/v1/topics/{}/records?limit=2000&from={from}", self.topic);
            let request = client.get(url).bearer_auth(secret).send();
            let answer = within("a page", request).await.expect("the server answers");
            let page: Value = answer.json().await.expect("JSON");
            let records = page["records"].as_array().unwrap_or_else(|| panic!("{page}"));
            for view in records {
                self.take(&Got::from_view(view));
            }
            found += records.len();
            self.cursor = Some(page["next_cursor"].as_str().expect("a cursor").to_owned());
            if page["end"] == true {
                return found;
            }
        }
    }

    fn take(&mut self, got: &Got) {
        let data = got.data();
        let number = |name: &str| data[name].as_u64().unwrap_or_else(|| panic!("{got:?}"));
        let (publisher, sequence) = (number("publisher"), number("sequence"));
        let records = self.partitions.entry(got.partition).or_default();
        let newest = records.last_key_value().map(|(offset, _)| *offset);
        // A call over several partitions that a kill cut leaves its offsets unused: a gap is an
        // error only where something acknowledged lay in it, which `check_acked` finds.
        assert!(Some(got.offset) > newest, "a repetition: {got:?}");
        let given = self.given.get(&(got.partition, got.offset));
        assert!(given.is_none_or(|it| *it == (publisher, sequence)), "given twice: {got:?}");
        records.insert(got.offset, (publisher, sequence));
        // Strictly growing is in order and never twice, because a key has one partition.
        let last = self.last.insert((publisher, got.partition), sequence);
        assert!(last < Some(sequence), "after {last:?}: {got:?}");
        let key = got.key.clone().expect("each record has a key");
        let home = *self.homes.entry(key).or_insert(got.partition);
        assert_eq!(home, got.partition, "a key in two partitions: {got:?}");
    }

    /// Each acknowledged record lies where the server said; of a relaxed topic it may be gone.
    pub fn check_acked(&mut self, acked: &[Acked]) -> Result<(), String> {
        for record in acked {
            let wanted = (record.publisher, record.sequence);
            self.given.insert((record.partition, record.offset), wanted);
            let partition = self.partitions.get(&record.partition);
            match partition.and_then(|records| records.get(&record.offset)) {
                Some(found) if *found == wanted => {}
                None if self.promise == Promise::Accepted => self.lost_count += 1,
                found => return Err(format!("{record:?} was acknowledged, found is {found:?}")),
            }
        }
        self.acked_count += acked.len() as u64;
        Ok(())
    }

    /// Records that the log has.
    pub fn count(&self) -> u64 {
        self.partitions.values().map(|records| records.len() as u64).sum()
    }

    pub fn has_same_records_as(&self, other: &Ledger) -> bool {
        self.partitions == other.partitions
    }
}
