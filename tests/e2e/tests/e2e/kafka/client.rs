//! A Kafka client that says exactly what a test wants it to say. It has its messages from the
//! protocol's crate; whether those are Kafka's is shown by `tools`.

use crate::stand::admin::Key;
use crate::stand::within;
use bytes::{Buf, BufMut, Bytes};
use kafka::messages::Api;
use kafka::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use kafka::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use kafka::wire::{Form, Input, Output, Wire, read_whole, write_unsigned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use types::{Batch, BatchBuilder, Key as RecordKey, Record, Stamp};

/// The newest versions that say topics by name.
pub const PRODUCE: i16 = 9;
pub const FETCH: i16 = 12;

pub struct Kafka {
    socket: TcpStream,
    correlation: i32,
}

pub fn form(api: Api, version: i16) -> Form {
    Form { version, is_flexible: api.is_flexible(version) }
}

impl Kafka {
    pub async fn stranger(address: &str) -> Kafka {
        let socket = within("a connection", TcpStream::connect(address)).await.expect("connected");
        Kafka { socket, correlation: 0 }
    }

    pub async fn signed_in(address: &str, key: &Key) -> Kafka {
        let mut client = Kafka::stranger(address).await;
        let told = client.sign_in(&key.id, &key.secret).await;
        assert_eq!(told.error_code, 0, "{told:?}");
        client
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> SaslAuthenticateResponse {
        let plain = SaslHandshakeRequest { mechanism: "PLAIN".to_owned() };
        let told: SaslHandshakeResponse = self.call(Api::SaslHandshake, 1, &plain).await;
        assert_eq!(told.error_code, 0);
        let auth_bytes = format!("\0{user}\0{password}").into();
        let proof = SaslAuthenticateRequest { auth_bytes };
        self.call(Api::SaslAuthenticate, 2, &proof).await
    }

    /// Sends a request; answers its number.
    pub async fn ask(&mut self, api: Api, version: i16, request: &impl Wire) -> i32 {
        let form = form(api, version);
        self.correlation += 1;
        let mut frame = Output::default();
        frame.put_i16(api.key());
        frame.put_i16(version);
        frame.put_i32(self.correlation);
        frame.put_i16(3);
        frame.put_slice(b"e2e");
        if form.is_flexible {
            write_unsigned(&mut frame, 0);
        }
        request.write(&mut frame, form);
        self.send(&frame.into_bytes()).await;
        self.correlation
    }

    /// A server that has cut the connection meanwhile is found out by `frame`.
    pub async fn send(&mut self, frame: &[u8]) {
        let _ = self.socket.write_i32(frame.len() as i32).await;
        let _ = self.socket.write_all(frame).await;
    }

    /// The next frame; `None` when the server has closed the connection.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let length = within("a frame", self.socket.read_i32()).await.ok()?;
        let mut frame = vec![0; length as usize];
        within("a frame", self.socket.read_exact(&mut frame)).await.ok()?;
        Some(frame.into())
    }

    /// The answer to the request of this number, which must be the next.
    pub async fn answer<A: Wire>(&mut self, api: Api, version: i16, correlation: i32) -> A {
        let mut frame = self.frame().await.expect("an answer");
        assert_eq!(frame.get_i32(), correlation, "answers come in the order of requests");
        let mut input = Input::new(frame);
        if api.is_flexible(version) && api != Api::ApiVersions {
            input.tags(|_, _| Ok(())).expect("a head");
        }
        read_whole(&mut input, form(api, version)).expect("an answer of this kind")
    }

    pub async fn call<A: Wire>(&mut self, api: Api, version: i16, request: &impl Wire) -> A {
        let correlation = self.ask(api, version, request).await;
        self.answer(api, version, correlation).await
    }

    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce(topic, partition, records, -1);
        let told: ProduceResponse = self.call(Api::Produce, PRODUCE, &request).await;
        let mut parts = told.responses.into_iter().flat_map(|topic| topic.partition_responses);
        parts.next().expect("an answer for the partition")
    }

    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let request = fetch(topic, partition, offset, 0);
        let told: FetchResponse = self.call(Api::Fetch, FETCH, &request).await;
        only(told)
    }
}

pub fn only(told: FetchResponse) -> PartitionData {
    let mut parts = told.responses.into_iter().flat_map(|topic| topic.partitions);
    parts.next().expect("an answer for the partition")
}

pub fn produce(topic: &str, index: i32, records: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index,
                records: Some(records),
                ..PartitionProduceData::default()
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

pub fn fetch(topic: &str, partition: i32, fetch_offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: 1_000_000,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// A batch of records with these keys and values, the first dated `at`, each a second later.
pub fn batch(records: &[(&str, &str)], at: i64, stamp: Option<Stamp>) -> Bytes {
    let mut builder = BatchBuilder::new(0, 100);
    if let Some(stamp) = stamp {
        builder = builder.stamped(stamp);
    }
    for (index, (key, value)) in records.iter().enumerate() {
        let record = Record {
            key: (!key.is_empty()).then(|| RecordKey::new(key.to_string()).expect("a key")),
            value: Some(value.to_string().into()),
            ..Record::default()
        };
        builder.push(&record, at + 1_000 * index as i64).expect("it fits");
    }
    builder.finish().expect("records").bytes().clone()
}

/// What a fetch brought: offsets and values.
pub fn read(data: &PartitionData) -> Vec<(u64, String)> {
    let mut bytes = match &data.records {
        Some(records) => records.0.concat(),
        None => Vec::new(),
    };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = i32::from_be_bytes(bytes[8..12].try_into().expect("a length")) as usize + 12;
        let rest = bytes.split_off(length);
        if bytes[57..61] == [0; 4] {
            // It says only that nothing lies there.
            bytes = rest;
            continue;
        }
        let batch = Batch::parse(bytes.into()).expect("a whole batch");
        found.extend(batch.records().map(|(offset, _, record)| {
            let value = record.value.unwrap_or_default();
            (offset, String::from_utf8_lossy(&value).into_owned())
        }));
        bytes = rest;
    }
    found
}
