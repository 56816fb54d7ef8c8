//! `publish`: records into the log, answered when they are stored as their topics promise. Requests
//! pipeline: the next frame is read while this one waits for the disk, and answers keep the order.
//! The records of one partition of a topic are stored all or none.

use crate::frame::{CallId, Frame, Place, Say};
use crate::session::{FrameCodec, Out, WebSocketSession};
use bytes::Bytes;
use futures_util::future::join_all;
use port::{Code, Flow, Hub, Identity, Refusal, Wait};
use std::sync::Arc;
use types::limits::HEADERS_MAX;
use types::record::header;
use types::{Record, TopicName};
use wire_http::publish::{Publish, make_header};

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    traceparent: Option<Bytes>,
    mut records: Vec<Publish>,
) -> Flow {
    let identity = match session.proven() {
        Ok((identity, _)) => identity.clone(),
        Err(refusal) => return session.refuse(out, id, refusal),
    };
    if let Some(traceparent) = traceparent {
        for publish in &mut records {
            // A record without room for one more header is worth more than its trace.
            let has_room = publish.record.headers.len() < HEADERS_MAX;
            if has_room && publish.record.header(header::TRACEPARENT).is_none() {
                let header = make_header(header::TRACEPARENT, traceparent.clone());
                publish.record.headers.push(header);
            }
        }
    }
    let hub = Arc::clone(&session.hub);
    let work = async move { append(&*hub, &identity, records).await };
    session.defer(out, Wait::Pipelined, work, move |session, out, outcome| match outcome {
        Ok(places) => {
            out.send(Frame::Said(Say::Published { id, places }));
            Flow::Continue
        }
        Err(refusal) => session.refuse(out, id, refusal),
    });
    Flow::Continue
}

/// Topics in one request.
const TOPICS_MAX: usize = 256;

/// The records of one topic in a request, with their places in it.
struct Batch {
    topic: TopicName,
    indexes: Vec<usize>,
    records: Vec<Record>,
}

async fn append(
    hub: &dyn Hub,
    identity: &Identity,
    records: Vec<Publish>,
) -> Result<Vec<Place>, Refusal> {
    let count = records.len();
    let batches = batches(records)?;
    let has_one = batches.len() == 1;
    // All are polled in order before any is waited for, so they enter the log in order and share
    // its commit.
    let work = batches.into_iter().map(|batch| async move {
        let Batch { topic, indexes, records } = batch;
        let ids: Vec<Option<Bytes>> =
            records.iter().map(|record| record.header(header::ID).cloned()).collect();
        let placed = hub
            .append(identity, &topic, records)
            .await
            .map_err(|refusal| if has_one { refusal } else { of_several(refusal, &indexes) })?;
        let places = ids.into_iter().zip(placed);
        let places = places.map(|(id, placed)| Place { topic: topic.clone(), id, placed });
        Ok::<_, Refusal>(indexes.into_iter().zip(places.collect::<Vec<_>>()))
    });
    let mut places: Vec<Option<Place>> = vec![None; count];
    for outcome in join_all(work).await {
        for (index, place) in outcome? {
            if let Some(slot) = places.get_mut(index) {
                *slot = Some(place);
            }
        }
    }
    Ok(places.into_iter().flatten().collect())
}

/// By topic, in the order topics first occur; most requests have one.
fn batches(records: Vec<Publish>) -> Result<Vec<Batch>, Refusal> {
    let mut batches: Vec<Batch> = Vec::with_capacity(1);
    let mut last = 0;
    for (index, Publish { topic, record }) in records.into_iter().enumerate() {
        let is_last = batches.get(last).is_some_and(|batch| batch.topic == topic);
        let found = match is_last {
            true => Some(last),
            false => batches.iter().position(|batch| batch.topic == topic),
        };
        let count = batches.len();
        last = found.unwrap_or(count);
        match batches.get_mut(last) {
            Some(batch) => {
                batch.indexes.push(index);
                batch.records.push(record);
            }
            None if count == TOPICS_MAX => {
                let message = format!("a publish has records of at most {TOPICS_MAX} topics");
                return Err(Refusal::new(Code::InvalidRequest, message)
                    .field(format!("records[{index}].topic")));
            }
            None => batches.push(Batch { topic, indexes: vec![index], records: vec![record] }),
        }
    }
    Ok(batches)
}

/// The hub counts within the batch, the client within its request.
fn of_several(refusal: Refusal, indexes: &[usize]) -> Refusal {
    let named = refusal.field_name().and_then(|field| {
        let (number, rest) = field.strip_prefix("records[")?.split_once(']')?;
        let index = indexes.get(number.parse::<usize>().ok()?)?;
        Some(format!("records[{index}]{rest}"))
    });
    let first = || format!("records[{}]", indexes.first().copied().unwrap_or(0));
    let field = named.unwrap_or_else(first);
    let refusal = refusal.field(field);
    match refusal.hint_text() {
        Some(_) => refusal,
        None => refusal.hint("records of the other topics of this request may be stored"),
    }
}
