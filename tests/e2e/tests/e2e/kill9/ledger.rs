//! What was found in the log, and whether it is what it must be.

use super::load::{Acked, TOPIC};
use crate::stand::got::Got;
use crate::stand::within;
use reqwest::Client;
use serde_json::Value;
use std::collections::HashMap;

#[derive(Default)]
pub struct Ledger {
    /// Publisher and sequence of each record, by partition; the index is the offset.
    partitions: HashMap<u64, Vec<(u64, u64)>>,
    /// The last sequence of a publisher in a partition.
    last: HashMap<(u64, u64), u64>,
    /// Where a key's records lie.
    homes: HashMap<Vec<u8>, u64>,
    cursor: Option<String>,
    pub acked_count: u64,
}

impl Ledger {
    /// Reads all that is new since the last time and checks its order; answers how much it was.
    pub async fn read_on(&mut self, url: &str, secret: &str) -> usize {
        let client = Client::new();
        let mut found = 0;
        loop {
            let from = self.cursor.as_deref().unwrap_or("earliest");
            let url = format!("{url}/v1/topics/{TOPIC}/records?limit=2000&from={from}");
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
        assert_eq!(got.offset, records.len() as u64, "a gap or a repetition: {got:?}");
        records.push((publisher, sequence));
        // Strictly growing is in order and never twice, because a key has one partition.
        let last = self.last.insert((publisher, got.partition), sequence);
        assert!(last < Some(sequence), "after {last:?}: {got:?}");
        let key = got.key.clone().expect("each record has a key");
        let home = *self.homes.entry(key).or_insert(got.partition);
        assert_eq!(home, got.partition, "a key in two partitions: {got:?}");
    }

    /// Each acknowledged record lies where the server said.
    pub fn check_acked(&mut self, acked: &[Acked]) -> Result<(), String> {
        for record in acked {
            let partition = self.partitions.get(&record.partition);
            let at = usize::try_from(record.offset).ok();
            let found = partition.zip(at).and_then(|(records, at)| records.get(at));
            if found != Some(&(record.publisher, record.sequence)) {
                return Err(format!("{record:?} was acknowledged, found is {found:?}"));
            }
        }
        self.acked_count += acked.len() as u64;
        Ok(())
    }

    pub fn has_same_records_as(&self, other: &Ledger) -> bool {
        self.partitions == other.partitions
    }
}
