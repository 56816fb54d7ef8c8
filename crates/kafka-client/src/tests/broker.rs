//! A broker of one partition that judges numbers as Kafka does, and has the faults that a test
//! tells it to have: made of the server's side of the messages, on a real socket.

use crate::batches::Head;
use crate::settings::Settings;
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wire_kafka::errors as codes;
use wire_kafka::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use wire_kafka::messages::init_producer_id::InitProducerIdResponse;
use wire_kafka::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use wire_kafka::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use wire_kafka::messages::{Api, Request};
use wire_kafka::wire::{Form, Input, Output, Wire, read_whole, write_unsigned};

/// What becomes of a produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Another leads, it says; nothing is stored.
    Misled,
    /// The connection ends before it is stored.
    Lost,
    /// It is stored, and the connection ends before the answer.
    Unanswered,
    /// It is refused for good.
    Refused,
}

#[derive(Default)]
pub struct Log {
    /// By producer: the next number.
    next: HashMap<i64, i32>,
    /// By producer and first number: where it lies.
    known: HashMap<(i64, i32), i64>,
    pub batches: Vec<Bytes>,
    end: i64,
    /// One for each produce request to come; none when they are over.
    pub faults: Vec<Fault>,
    producers: i64,
}

pub struct Broker {
    pub settings: Settings,
    pub log: Arc<Mutex<Log>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Broker {
    pub async fn start(faults: Vec<Fault>) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Mutex::new(Log { faults, ..Log::default() }));
        let served = Arc::clone(&log);
        let port = i32::from(address.port());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&served), port));
            }
        });
        Broker { settings: Settings::new(&address.to_string()), log, task }
    }
}

/// Ends with the connection, whoever ends it.
async fn serve(mut socket: TcpStream, log: Arc<Mutex<Log>>, port: i32) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    loop {
        let length = socket.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).unwrap_or(0)];
        socket.read_exact(&mut frame).await?;
        let mut frame = Bytes::from(frame);
        let (key, version, correlation) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
        let client = usize::try_from(frame.get_i16()).unwrap_or(0);
        frame.advance(client);
        let api = Api::from_key(key).expect("a request that is known");
        let form = Form { version, is_flexible: api.is_flexible(version) };
        let mut input = Input::new(frame);
        if form.is_flexible {
            input.tags(|_, _| Ok(())).expect("a head");
        }
        let Some(body) = answer(api, input, form, &log, port) else { return Ok(()) };
        let mut whole = Output::default();
        whole.put_i32(0);
        whole.put_i32(correlation);
        if form.is_flexible && api != Api::ApiVersions {
            write_unsigned(&mut whole, 0);
        }
        whole.put_bytes(&body);
        let length = whole.total() as i32 - 4;
        (&mut whole[..4]).put_i32(length);
        socket.write_all(&whole.into_bytes()).await?;
    }
}

fn answer(api: Api, mut input: Input, form: Form, log: &Mutex<Log>, port: i32) -> Option<Bytes> {
    Some(match api {
        Api::ApiVersions => versions().to_bytes(form),
        Api::Metadata => metadata(port).to_bytes(form),
        Api::InitProducerId => {
            let mut log = log.lock();
            log.producers += 1;
            let producer_id = log.producers;
            InitProducerIdResponse { producer_id, ..InitProducerIdResponse::default() }
                .to_bytes(form)
        }
        Api::Produce => {
            let request: ProduceRequest = read_whole(&mut input, form).expect("a request");
            log.lock().produce(&request)?.to_bytes(form)
        }
        other => panic!("{} is not asked for", other.name()),
    })
}

fn versions() -> ApiVersionsResponse {
    let served = [Api::ApiVersions, Api::Metadata, Api::InitProducerId, Api::Produce];
    let known = served.iter().map(|api| ApiVersion {
        api_key: api.key(),
        min_version: *api.versions().start(),
        max_version: *api.versions().end(),
    });
    ApiVersionsResponse { api_keys: known.collect(), ..ApiVersionsResponse::default() }
}

fn metadata(port: i32) -> MetadataResponse {
    let host = "127.0.0.1".to_owned();
    let broker = MetadataResponseBroker { node_id: 1, host, port, rack: None };
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".to_owned()),
        partitions: vec![partition],
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: vec![broker],
        controller_id: 1,
        topics: vec![topic],
        ..MetadataResponse::default()
    }
}

impl Log {
    /// `None`: the connection ends.
    fn produce(&mut self, request: &ProduceRequest) -> Option<<ProduceRequest as Request>::Answer> {
        let fault = if self.faults.is_empty() { Fault::None } else { self.faults.remove(0) };
        let part = &request.topic_data[0].partition_data[0];
        let batch = part.records.clone().expect("a batch");
        let (error_code, base_offset) = match fault {
            Fault::Lost => return None,
            Fault::Misled => (codes::NOT_LEADER_OR_FOLLOWER, -1),
            Fault::Refused => (codes::MESSAGE_TOO_LARGE, -1),
            Fault::None | Fault::Unanswered => self.store(batch),
        };
        if fault == Fault::Unanswered {
            return None;
        }
        let partition_responses =
            vec![PartitionProduceResponse { error_code, base_offset, ..Default::default() }];
        let name = request.topic_data[0].name.clone();
        let topic =
            TopicProduceResponse { name, partition_responses, ..TopicProduceResponse::default() };
        Some(ProduceResponse { responses: vec![topic], ..ProduceResponse::default() })
    }

    fn store(&mut self, batch: Bytes) -> (i16, i64) {
        let head = Head::read(&batch).expect("a batch");
        let place = (head.producer_id, head.base_sequence);
        if let Some(&offset) = self.known.get(&place) {
            return (codes::NONE, offset);
        }
        let next = self.next.entry(head.producer_id).or_default();
        if *next != head.base_sequence {
            return (codes::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        }
        *next += head.count;
        let offset = self.end;
        self.end += i64::from(head.count);
        self.known.insert(place, offset);
        self.batches.push(batch);
        (codes::NONE, offset)
    }
}
