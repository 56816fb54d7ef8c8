//! The body of the answer: what the hub feeds, as events. It gathers what is ready into one write,
//! so that a replay costs few writes and a live record goes out at once. Dropping it (the client
//! left) gives everything back.

use crate::follow::Wanted;
use crate::frame::{HEARTBEAT, write_event, write_id, write_retry};
use crate::{Config, ServerSentEvents};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::{
    Code, Delivery, Feed, Follow, Lease, Loss, Origin, Protocol, Refusal, RequestId, Sent,
    Subscription,
};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use types::{Position, Positions, SubscriptionTag};
use wire_http::text::{write_display, write_member, write_string};
use wire_http::view::cursor_of;
use wire_http::{Caller, JsonForm, write_error};

/// Partitions a stream may begin with. Its id names each, and clients send it back in a header,
/// which servers and proxies bound.
const PARTITIONS_MAX: usize = 256;
/// Up to so many partitions each record carries the id; beyond, each write ends with it.
const ID_EACH_PARTITIONS_MAX: usize = 64;
const _: () = assert!(ID_EACH_PARTITIONS_MAX <= PARTITIONS_MAX);

pub struct Stream {
    config: Arc<Config>,
    feed: Arc<Feed>,
    request: RequestId,
    /// By tag; `None` when it has ended. The text is the filter as it is told to the client.
    subscriptions: Vec<(String, Option<Subscription>)>,
    /// Where the client stands in each partition once it has read everything sent.
    positions: Positions,
    /// Of the last record: it can mint cursors for all positions.
    origin: Option<Arc<Origin>>,
    /// The cursors of the subscriptions, which is where the client stands before any record.
    start: String,
    /// What comes before anything the hub feeds.
    prelude: Option<Bytes>,
    /// Bytes of the write before: the next one is likely as long.
    written: usize,
    idle: Pin<Box<Sleep>>,
    is_over: bool,
    _lease: Lease,
}

impl Stream {
    /// Takes a connection's place and starts to follow.
    ///
    /// # Errors
    /// What the hub refuses, and `INVALID_REQUEST` when it would cover too many partitions.
    pub async fn open(
        caller: &Caller,
        config: Arc<Config>,
        wanted: Wanted,
    ) -> Result<Stream, Refusal> {
        let feed = Feed::new();
        let connection = Connection {
            protocol: ServerSentEvents::NAME,
            quota: Quota::ServerSentEvents,
            address: caller.peer.address,
        };
        let lease = caller.hub.open(&caller.identity, connection, feed.clone()).await?;
        let mut stream = Stream {
            feed,
            request: caller.peer.request_id.clone(),
            subscriptions: Vec::with_capacity(wanted.filters.len()),
            positions: Positions::default(),
            origin: None,
            start: String::new(),
            prelude: None,
            written: 0,
            idle: Box::pin(tokio::time::sleep(Duration::from_millis(config.heartbeat_ms))),
            is_over: false,
            config,
            _lease: lease,
        };
        let shaping = wanted.shaping();
        for (filter, number) in wanted.filters.into_iter().zip(0..) {
            let text = filter.to_string();
            let follow = Follow {
                tag: SubscriptionTag(number),
                filter,
                from: wanted.from.clone(),
                latest_first: wanted.latest_first,
                exclude_own: wanted.exclude_own,
                connection: Some(stream._lease.id),
                shaping: shaping.clone(),
            };
            let sink = stream.feed.clone();
            let opened = caller.hub.follow(&caller.identity, follow, caller.peer.shard, sink);
            stream.add(text, opened.await?)?;
        }
        let mut prelude = BytesMut::new();
        write_retry(&mut prelude, Duration::from_millis(stream.config.retry_ms));
        write_id(&mut prelude, &stream.start);
        stream.prelude = Some(prelude.freeze());
        Ok(stream)
    }

    fn add(&mut self, filter: String, subscription: Subscription) -> Result<(), Refusal> {
        self.positions.merge(&subscription.start);
        if self.positions.len() > PARTITIONS_MAX {
            let message = format!("a stream covers at most {PARTITIONS_MAX} partitions");
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("filter")
                .hint("follow fewer topics, or use the WebSocket"));
        }
        if !self.start.is_empty() {
            self.start.push(',');
        }
        self.start.push_str(&subscription.cursor);
        self.subscriptions.push((filter, Some(subscription)));
        Ok(())
    }

    /// What a client that read everything so far resumes from.
    fn id(&self) -> String {
        match &self.origin {
            Some(origin) => origin.mint.mint(origin.project, &self.positions),
            None => self.start.clone(),
        }
    }

    /// Everything that is ready, up to the size of one write.
    fn gather(&mut self, cx: &mut Context<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        let mut owes_id = false;
        while out.len() < self.config.frame_bytes_max && !self.is_over {
            let fed = self.feed.poll_next(cx);
            if out.is_empty() && fed.is_ready() {
                out.reserve(self.written);
            }
            match fed {
                Poll::Pending => break,
                Poll::Ready(Fed::Delivery(_, delivery)) => {
                    owes_id |= self.write_record(&mut out, &delivery, 0);
                }
                Poll::Ready(Fed::Records(_, records)) => {
                    for Sent { delivery, left_out } in &records {
                        owes_id |= self.write_record(&mut out, delivery, *left_out);
                    }
                }
                Poll::Ready(other) => self.write_other(&mut out, other),
            }
        }
        if owes_id {
            write_id(&mut out, &self.id());
        }
        out
    }

    /// Answers whether the id is still owed.
    fn write_record(&mut self, out: &mut BytesMut, delivery: &Delivery, left_out: u32) -> bool {
        let head = match left_out {
            0 => "{".to_owned(),
            left_out => format!("{{\"left_out\":{left_out},"),
        };
        let head = head.as_bytes();
        self.positions.advance(delivery.position());
        self.origin = Some(Arc::clone(&delivery.origin));
        let form = delivery.form::<JsonForm>();
        if self.positions.len() > ID_EACH_PARTITIONS_MAX {
            write_event(out, None, None, &[head, &form]);
            return true;
        }
        // With one partition the record's own cursor says it all, unless the record is an old one
        // that came first (`latest`).
        let is_all =
            self.positions.len() == 1 && self.positions.iter().next() == Some(delivery.position());
        match cursor_of(&form).filter(|_| is_all) {
            Some(cursor) => write_event(out, Some(cursor), None, &[head, &form]),
            None => write_event(out, Some(&self.id()), None, &[head, &form]),
        }
        false
    }

    fn write_other(&mut self, out: &mut BytesMut, fed: Fed) {
        let mut data = BytesMut::new();
        match fed {
            Fed::Delivery(_, delivery) => {
                self.write_record(out, &delivery, 0);
            }
            Fed::Records(_, records) => {
                for Sent { delivery, left_out } in &records {
                    self.write_record(out, delivery, *left_out);
                }
            }
            Fed::Progress(_, progress) => {
                self.positions.merge(&progress.positions);
                write_id(out, &self.id());
            }
            Fed::CaughtUp(tag) => {
                write_filter(&mut data, self.filter(tag));
                data.put_u8(b'}');
                write_event(out, Some(&self.id()), Some("caught_up"), &[&data]);
            }
            Fed::Gap { tag, topic, partition, from, to, why } => {
                // Otherwise the stream began at a place that is left of it already.
                if why == Loss::Expired {
                    self.positions.advance(Position { topic, partition, next: to });
                }
                write_filter(&mut data, self.filter(tag));
                // Text, because it may pass 2^53.
                write_member(&mut data, "topic_id");
                write_string(&mut data, &topic.0.to_string());
                for (name, number) in
                    [("partition", u64::from(partition)), ("from", from), ("to", to)]
                {
                    write_member(&mut data, name);
                    write_display(&mut data, number);
                }
                write_member(&mut data, "reason");
                write_string(&mut data, why.name());
                data.put_u8(b'}');
                write_event(out, Some(&self.id()), Some("gap"), &[&data]);
            }
            Fed::Ended(tag, why) => {
                write_filter(&mut data, self.filter(tag));
                write_member(&mut data, "error");
                write_error(&mut data, &why, Some(&self.request));
                data.put_u8(b'}');
                write_event(out, None, Some("ended"), &[&data]);
                self.end(tag);
            }
            Fed::Closed(why) => self.write_close(out, &why),
        }
    }

    /// The last word: `reconnect` with the time to wait when the node goes down, else `closed`.
    fn write_close(&mut self, out: &mut BytesMut, why: &Refusal) {
        let retry = Duration::from_millis(self.config.retry_ms);
        let wait = why.wait().unwrap_or(retry);
        write_retry(out, wait);
        let mut data = BytesMut::new();
        data.put_u8(b'{');
        let name = match why.code() {
            Code::Draining => {
                data.put_slice(b"\"after_ms\":");
                write_display(&mut data, wait.as_millis());
                data.put_u8(b',');
                "reconnect"
            }
            _ => "closed",
        };
        data.put_slice(b"\"error\":");
        write_error(&mut data, why, Some(&self.request));
        data.put_u8(b'}');
        write_event(out, None, Some(name), &[&data]);
        self.is_over = true;
    }

    fn filter(&self, tag: SubscriptionTag) -> &str {
        let index = usize::try_from(tag.0).unwrap_or(usize::MAX);
        self.subscriptions.get(index).map_or("", |(filter, _)| filter)
    }

    /// Gives one subscription up; without any the stream is over.
    fn end(&mut self, tag: SubscriptionTag) {
        let index = usize::try_from(tag.0).unwrap_or(usize::MAX);
        if let Some((_, subscription)) = self.subscriptions.get_mut(index) {
            *subscription = None;
        }
        self.is_over = self.subscriptions.iter().all(|(_, subscription)| subscription.is_none());
    }

    fn rest(&mut self) {
        let next = Instant::now() + Duration::from_millis(self.config.heartbeat_ms);
        self.idle.as_mut().reset(next);
    }
}

/// `{"filter":".."`, open for more.
fn write_filter(data: &mut BytesMut, filter: &str) {
    data.put_slice(b"{\"filter\":");
    write_string(data, filter);
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let stream = self.get_mut();
        if let Some(prelude) = stream.prelude.take() {
            return Poll::Ready(Some(Ok(Frame::data(prelude))));
        }
        if stream.is_over {
            return Poll::Ready(None);
        }
        let out = stream.gather(cx);
        if !out.is_empty() {
            stream.written = out.len().min(2 * stream.config.frame_bytes_max);
            stream.rest();
            return Poll::Ready(Some(Ok(Frame::data(out.freeze()))));
        }
        if stream.idle.as_mut().poll(cx).is_ready() {
            stream.rest();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HEARTBEAT)))));
        }
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.feed.abandon();
    }
}
