//! Transactions, message by message: gotchas 6 and 12, fencing, offsets, and what a restart leaves.
//! `Speech` is how clients speak of them: before KIP-890 and since.

use super::Stand;
use super::client::{Kafka, batch, produce, read};
use kafka::messages::Api;
use kafka::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use kafka::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use kafka::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use kafka::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kafka::messages::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use kafka::messages::produce::ProduceResponse;
use kafka::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use std::collections::BTreeMap;
use types::{Producer, Stamp};

const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;
const NOW: i64 = 1_700_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    Old,
    New,
}

/// A producer with a transactional id that counts as clients do.
pub struct Bound {
    pub client: Kafka,
    pub id: String,
    pub speech: Speech,
    pub producer: Producer,
    sequences: BTreeMap<(String, i32), i32>,
}

impl Bound {
    pub async fn init(client: Kafka, id: &str, speech: Speech) -> Bound {
        let producer = Producer { id: -1, epoch: -1 };
        let sequences = BTreeMap::new();
        let mut bound = Bound { client, id: id.to_owned(), speech, producer, sequences };
        let told = bound.sign_in(60_000).await;
        assert_eq!(told.error_code, 0, "{told:?}");
        bound.producer = Producer { id: told.producer_id, epoch: told.producer_epoch };
        bound
    }

    async fn sign_in(&mut self, transaction_timeout_ms: i32) -> InitProducerIdResponse {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.clone()),
            transaction_timeout_ms,
            ..InitProducerIdRequest::default()
        };
        self.client.call(Api::InitProducerId, 4, &request).await
    }

    async fn add(&mut self, topic: &str, partition: i32) -> i16 {
        let request = AddPartitionsToTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            topics: vec![AddPartitionsToTxnTopic {
                name: topic.to_owned(),
                partitions: vec![partition],
            }],
        };
        let told: AddPartitionsToTxnResponse =
            self.client.call(Api::AddPartitionsToTxn, 3, &request).await;
        told.results_by_topic[0].results_by_partition[0].partition_error_code
    }

    /// A record for the transaction; answers the error.
    async fn produce(&mut self, topic: &str, partition: i32, (key, value): (&str, &str)) -> i16 {
        let sequence = self.sequences.entry((topic.to_owned(), partition)).or_insert(0);
        let stamp =
            Stamp { producer: self.producer, sequence: Some(*sequence), is_transactional: true };
        let mut request = produce(topic, partition, batch(&[(key, value)], NOW, Some(stamp)), -1);
        request.transactional_id = Some(self.id.clone());
        let version = if self.speech == Speech::New { 12 } else { 9 };
        let told: ProduceResponse = self.client.call(Api::Produce, version, &request).await;
        let error = told.responses[0].partition_responses[0].error_code;
        *sequence += i32::from(error == 0);
        error
    }

    /// As a client sends it: who speaks the old way says first where to.
    pub async fn send(&mut self, topic: &str, partition: i32, record: (&str, &str)) -> i16 {
        if self.speech == Speech::Old {
            let error = self.add(topic, partition).await;
            if error != 0 {
                return error;
            }
        }
        self.produce(topic, partition, record).await
    }

    async fn ask_end(&mut self, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            committed,
        };
        let version = if self.speech == Speech::New { 5 } else { 3 };
        self.client.call(Api::EndTxn, version, &request).await
    }

    pub async fn end(&mut self, committed: bool) -> i16 {
        let told = self.ask_end(committed).await;
        if told.error_code == 0 && self.speech == Speech::New {
            self.producer = Producer { id: told.producer_id, epoch: told.producer_epoch };
            self.sequences.clear();
        }
        told.error_code
    }

    async fn stage(&mut self, offset: i64) -> i16 {
        if self.speech == Speech::Old {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.id.clone(),
                producer_id: self.producer.id,
                producer_epoch: self.producer.epoch,
                group_id: "g".to_owned(),
            };
            let told: AddOffsetsToTxnResponse =
                self.client.call(Api::AddOffsetsToTxn, 3, &request).await;
            if told.error_code != 0 {
                return told.error_code;
            }
        }
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id.clone(),
            group_id: "g".to_owned(),
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    committed_offset: offset,
                    ..Default::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        let version = if self.speech == Speech::New { 5 } else { 3 };
        let told: TxnOffsetCommitResponse =
            self.client.call(Api::TxnOffsetCommit, version, &request).await;
        told.topics[0].partitions[0].error_code
    }
}

/// What the group has committed, for somebody who would take it over; or the error.
async fn stable(client: &mut Kafka) -> Result<i64, i16> {
    let request = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let told: OffsetFetchResponse = client.call(Api::OffsetFetch, 7, &request).await;
    let found = &told.topics[0].partitions[0];
    if found.error_code == 0 { Ok(found.committed_offset) } else { Err(found.error_code) }
}

/// All values, from the beginning to the end that is told, as a consumer goes on.
pub async fn values(client: &mut Kafka, topic: &str, partition: i32) -> Vec<String> {
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let data = client.fetch(topic, partition, offset).await;
        assert_eq!(data.error_code, 0);
        if offset >= data.high_watermark {
            return found;
        }
        let bytes = data.records.as_ref().expect("records").0.concat();
        assert!(!bytes.is_empty(), "a consumer at {offset} of {} gets on", data.high_watermark);
        found.extend(read(&data).into_iter().filter(|(at, _)| *at >= offset as u64).map(|it| it.1));
        offset = after(&bytes);
    }
}

/// The offset behind the last batch.
fn after(bytes: &[u8]) -> i64 {
    let mut at = 0;
    loop {
        let field = |from: usize, to: usize| &bytes[at + from..at + to];
        let base = i64::from_be_bytes(field(0, 8).try_into().expect("8"));
        let length = i32::from_be_bytes(field(8, 12).try_into().expect("4")) as usize + 12;
        let last = i32::from_be_bytes(field(23, 27).try_into().expect("4"));
        at += length;
        if at == bytes.len() {
            return base + i64::from(last) + 1;
        }
    }
}

/// Gotcha 6: until the end nobody sees a record, nor one behind it; what is given up is never seen,
/// and nobody stops in front of it.
#[tokio::test]
async fn gotcha_06_no_open_or_aborted_record_is_read() {
    for speech in [Speech::Old, Speech::New] {
        let stand = Stand::new().await;
        stand.topic("t", 2).await;
        let mut reader = stand.client().await;
        let mut bound = Bound::init(stand.client().await, "mover", speech).await;
        assert_eq!(bound.send("t", 0, ("k", "a")).await, 0);
        assert_eq!(bound.send("t", 1, ("k", "b")).await, 0);
        assert_eq!(reader.produce("t", 0, batch(&[("k", "plain")], NOW, None)).await.error_code, 0);
        let data = reader.fetch("t", 0, 0).await;
        assert_eq!((data.high_watermark, data.last_stable_offset), (0, 0), "{speech:?}");
        assert_eq!(read(&data), []);
        assert_eq!(bound.end(true).await, 0);
        assert_eq!(values(&mut reader, "t", 0).await, ["a", "plain"]);
        assert_eq!(values(&mut reader, "t", 1).await, ["b"]);
        for value in ["c", "d", "e"] {
            assert_eq!(bound.send("t", 0, ("k", value)).await, 0);
            assert_eq!(bound.send("t", 1, ("k", value)).await, 0);
            assert_eq!(bound.end(value == "d").await, 0);
        }
        assert_eq!(values(&mut reader, "t", 0).await, ["a", "plain", "d"], "{speech:?}");
        assert_eq!(values(&mut reader, "t", 1).await, ["b", "d"]);
    }
}

/// Gotcha 12: a transaction that was announced and never used ends well.
#[tokio::test]
async fn gotcha_12_a_transaction_without_a_record_ends() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut bound = Bound::init(stand.client().await, "idle", Speech::Old).await;
    assert_eq!(bound.end(true).await, INVALID_TXN_STATE, "nothing was begun");
    for committed in [true, false, true] {
        assert_eq!(bound.add("t", 0).await, 0);
        assert_eq!(bound.end(committed).await, 0);
        assert_eq!(bound.end(committed).await, 0, "asked again");
    }
    assert_eq!(bound.produce("t", 0, ("k", "late")).await, INVALID_TXN_STATE, "it is over");
    assert_eq!(bound.sign_in(0).await.error_code, INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(bound.sign_in(900_001).await.error_code, INVALID_TRANSACTION_TIMEOUT);
}

#[tokio::test]
async fn who_takes_the_id_ends_what_the_former_one_has_open() {
    for speech in [Speech::Old, Speech::New] {
        let stand = Stand::new().await;
        stand.topic("t", 1).await;
        let mut former = Bound::init(stand.client().await, "one", speech).await;
        assert_eq!(former.send("t", 0, ("k", "torn")).await, 0);
        let mut next = Bound::init(stand.client().await, "one", speech).await;
        assert_eq!(next.producer.id, former.producer.id);
        assert!(next.producer.epoch > former.producer.epoch);
        assert_eq!(former.produce("t", 0, ("k", "late")).await, INVALID_PRODUCER_EPOCH);
        assert_eq!(former.end(true).await, PRODUCER_FENCED);
        assert_eq!(next.send("t", 0, ("k", "own")).await, 0);
        assert_eq!(next.end(true).await, 0);
        let mut reader = stand.client().await;
        assert_eq!(values(&mut reader, "t", 0).await, ["own"], "{speech:?}");
        let asked = ListTransactionsRequest::default();
        let told: ListTransactionsResponse = reader.call(Api::ListTransactions, 1, &asked).await;
        let listed = &told.transaction_states[0];
        assert_eq!((listed.transactional_id.as_str(), told.transaction_states.len()), ("one", 1));
        assert_eq!(listed.transaction_state, "CompleteCommit");
    }
}

/// KIP-890: the end of one transaction that comes late, or twice, does not touch the next.
#[tokio::test]
async fn a_late_end_does_not_touch_the_next_transaction() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut bound = Bound::init(stand.client().await, "one", Speech::New).await;
    let first = bound.producer;
    assert_eq!(bound.send("t", 0, ("k", "a")).await, 0);
    assert_eq!(bound.end(true).await, 0);
    let second = bound.producer;
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 1));
    bound.producer = first;
    assert_eq!(bound.ask_end(true).await.producer_epoch, second.epoch, "asked again");
    assert_eq!(bound.ask_end(false).await.error_code, PRODUCER_FENCED);
    bound.producer = second;
    assert_eq!(bound.send("t", 0, ("k", "b")).await, 0);
    bound.producer = first;
    assert_eq!(bound.ask_end(false).await.error_code, PRODUCER_FENCED);
    assert_eq!(bound.ask_end(true).await.error_code, PRODUCER_FENCED);
    bound.producer = second;
    assert_eq!(bound.end(true).await, 0);
    assert_eq!(values(&mut stand.client().await, "t", 0).await, ["a", "b"]);
}

#[tokio::test]
async fn offsets_of_a_transaction_count_with_it() {
    for speech in [Speech::Old, Speech::New] {
        let mut stand = Stand::new().await;
        stand.topic("t", 1).await;
        let mut bound = Bound::init(stand.client().await, "one", speech).await;
        let mut member = stand.client().await;
        assert_eq!(stable(&mut member).await, Ok(-1));
        assert_eq!(bound.stage(5).await, 0, "{speech:?}");
        assert_eq!(stable(&mut member).await, Err(UNSTABLE_OFFSET_COMMIT));
        assert_eq!(bound.send("t", 0, ("k", "a")).await, 0);
        assert_eq!(bound.end(true).await, 0);
        assert_eq!(stable(&mut member).await, Ok(5));
        assert_eq!(bound.stage(9).await, 0);
        assert_eq!(bound.end(false).await, 0);
        assert_eq!(stable(&mut member).await, Ok(5), "given up");
        assert_eq!(bound.stage(7).await, 0);
        assert_eq!(bound.end(true).await, 0);
        stand.server.kill();
        stand.server = stand.home.start();
        assert_eq!(stable(&mut stand.client().await).await, Ok(7), "over a kill");
    }
}

/// A client that is killed while it commits: the commit is done, and its offsets with it.
#[tokio::test]
async fn who_leaves_while_he_commits_leaves_nothing_undone() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut member = stand.client().await;
    for round in 1..=10 {
        let id = format!("one-{round}");
        let mut bound = Bound::init(stand.client().await, &id, Speech::New).await;
        assert_eq!(bound.stage(round).await, 0);
        let request = EndTxnRequest {
            transactional_id: id,
            producer_id: bound.producer.id,
            producer_epoch: bound.producer.epoch,
            committed: true,
        };
        bound.client.ask(Api::EndTxn, 5, &request).await;
        drop(bound);
        let settled = async {
            loop {
                match stable(&mut member).await {
                    Ok(offset) => break offset,
                    Err(error) => assert_eq!(error, UNSTABLE_OFFSET_COMMIT),
                }
            }
        };
        assert_eq!(crate::stand::within("an end", settled).await, round);
    }
    let mut last = Bound::init(stand.client().await, "last", Speech::New).await;
    assert_eq!(last.stage(99).await, 0);
    assert_eq!(last.end(true).await, 0);
    assert_eq!(stable(&mut member).await, Ok(99));
}

/// What was open when the server was killed is given up, and its client does not go on with it as
/// if it were whole.
#[tokio::test]
async fn after_a_kill_nobody_goes_on_with_half_a_transaction() {
    let mut stand = Stand::new().await;
    stand.topic("t", 2).await;
    let mut old = Bound::init(stand.client().await, "old", Speech::Old).await;
    let mut new = Bound::init(stand.client().await, "new", Speech::New).await;
    let mut staged = Bound::init(stand.client().await, "staged", Speech::New).await;
    let mut done = Bound::init(stand.client().await, "done", Speech::New).await;
    let mut past = Bound::init(stand.client().await, "past", Speech::Old).await;
    assert_eq!(past.stage(1).await, 0);
    assert_eq!(past.end(true).await, 0);
    for bound in [&mut old, &mut new] {
        assert_eq!(bound.send("t", 0, ("k", "whole")).await, 0);
        assert_eq!(bound.end(true).await, 0);
        assert_eq!(bound.send("t", 0, ("k", "half")).await, 0);
    }
    assert_eq!(staged.stage(3).await, 0);
    assert_eq!(done.send("t", 1, ("k", "whole")).await, 0);
    let before = done.producer;
    assert_eq!(done.end(true).await, 0);
    stand.server.kill();
    stand.server = stand.home.start();
    for bound in [&mut old, &mut new, &mut staged, &mut done, &mut past] {
        bound.client = stand.client().await;
    }
    assert_eq!(past.end(false).await, INVALID_TXN_STATE);
    assert_eq!(past.end(true).await, 0, "it was committed");
    assert_eq!(old.add("t", 1).await, INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(old.end(true).await, INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(old.end(false).await, 0);
    for bound in [&mut new, &mut staged] {
        assert_eq!(bound.send("t", 1, ("k", "other half")).await, TRANSACTION_ABORTABLE);
        assert_ne!(bound.end(true).await, 0);
        assert_eq!(bound.end(false).await, 0);
    }
    let after = done.producer;
    done.producer = before;
    assert_eq!(done.ask_end(true).await.producer_epoch, after.epoch, "it was committed");
    done.producer = after;
    for bound in [&mut old, &mut new, &mut staged, &mut done] {
        assert_eq!(bound.send("t", 1, ("k", &bound.id.clone())).await, 0, "{}", bound.id);
        assert_eq!(bound.end(true).await, 0, "{}", bound.id);
    }
    let mut reader = stand.client().await;
    assert_eq!(values(&mut reader, "t", 0).await, ["whole", "whole"]);
    assert_eq!(values(&mut reader, "t", 1).await, ["whole", "old", "new", "staged", "done"]);
    assert_eq!(stable(&mut reader).await, Ok(1));
}
