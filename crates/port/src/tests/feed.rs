//! The feed between a hub and a reader at its own pace: what it takes, when it asks for a pause,
//! and what is left of it when it is closed.

use crate::feed::{BYTES_HIGH, BYTES_LOW, Fed, HIGH, LOW};
use crate::sink::{Closer, Event, Room, Sink, Taken};
use crate::{Code, CursorMint, Delivery, Feed, Origin, Refusal, Run};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use types::{Positions, ProjectId, Record, SubscriptionTag, TopicId, TopicName};

const TAG: SubscriptionTag = SubscriptionTag(1);

struct NoMint;

impl CursorMint for NoMint {
    fn mint(&self, _: ProjectId, _: &Positions) -> String {
        String::new()
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn taken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

pub fn delivery(bytes: usize) -> Arc<Delivery> {
    let origin = Origin {
        project: "prj_00000000000000000000000000000001".parse().expect("an id"),
        topic: TopicName::parse("orders").expect("a name"),
        topic_id: TopicId(7),
        partitions: 1,
        mint: Arc::new(NoMint),
    };
    let record = Record { value: Some(Bytes::from(vec![b'x'; bytes])), ..Record::default() };
    Arc::new(Delivery::new(Arc::new(origin), 0, 0, 0, record))
}

fn next(feed: &Feed) -> Poll<Fed> {
    feed.poll_next(&mut Context::from_waker(Waker::noop()))
}

fn has_room(feed: &Feed, waker: &Waker) -> bool {
    feed.poll_room(&mut Context::from_waker(waker)).is_ready()
}

fn revoked() -> Refusal {
    Refusal::new(Code::InvalidApiKey, "revoked")
}

#[test]
fn many_small_events_ask_for_a_pause() {
    let feed = Feed::new();
    let small = delivery(1);
    for _ in 1..HIGH {
        assert_eq!(feed.push(TAG, Event::Delivery(&small)), Room::Free);
    }
    assert_eq!(feed.push(TAG, Event::Delivery(&small)), Room::Full);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    for _ in LOW..HIGH {
        assert!(!has_room(&feed, &waker));
        assert!(next(&feed).is_ready());
    }
    assert!(count.taken() > 0, "the writer hears of the room");
    assert!(has_room(&feed, &waker));
}

#[test]
fn few_large_events_ask_for_a_pause_too() {
    let feed = Feed::new();
    let large = delivery(BYTES_LOW);
    let count_max = BYTES_HIGH / BYTES_LOW;
    for _ in 1..count_max {
        assert_eq!(feed.push(TAG, Event::Delivery(&large)), Room::Free);
    }
    assert_eq!(feed.push(TAG, Event::Delivery(&large)), Room::Full);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    for _ in 1..count_max {
        assert!(!has_room(&feed, &waker));
        assert_eq!(count.taken(), 0, "there is no room yet");
        assert!(next(&feed).is_ready());
    }
    assert!(count.taken() > 0, "the writer hears of the room");
    assert!(has_room(&feed, &waker));
    assert_eq!(feed.push(TAG, Event::Delivery(&large)), Room::Free);
    assert!(next(&feed).is_ready() && next(&feed).is_ready());
    assert!(next(&feed).is_pending());
}

#[test]
fn a_closed_feed_keeps_nothing_and_takes_nothing() {
    let feed = Feed::new();
    let record = delivery(BYTES_HIGH);
    assert_eq!(feed.push(TAG, Event::Delivery(&record)), Room::Full);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(!has_room(&feed, &waker));

    feed.close(revoked());
    assert_eq!(Arc::strong_count(&record), 1, "what waited is dropped");
    assert_eq!(count.taken(), 0, "nobody should read on for a closed feed");
    assert!(!has_room(&feed, &waker));
    assert_eq!(feed.push(TAG, Event::Delivery(&record)), Room::Full);
    assert_eq!(Arc::strong_count(&record), 1, "nothing is queued any more");
    for _ in 0..2 {
        let is_told = matches!(next(&feed),
            Poll::Ready(Fed::Closed(why)) if why.code() == Code::InvalidApiKey);
        assert!(is_told, "the reader still hears why");
    }

    feed.abandon();
    assert!(count.taken() > 0, "whoever waits for room may leave");
    assert!(has_room(&feed, &waker));
}

#[test]
fn closing_wakes_the_reader_with_the_first_reason() {
    let feed = Feed::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(feed.poll_next(&mut Context::from_waker(&waker)).is_pending());
    feed.close(revoked());
    feed.close(Refusal::new(Code::TenantSuspended, "suspended"));
    assert_eq!(count.taken(), 1);
    let is_first = matches!(next(&feed),
        Poll::Ready(Fed::Closed(why)) if why.code() == Code::InvalidApiKey);
    assert!(is_first);
}

#[test]
fn of_a_run_it_takes_what_fits() {
    let feed = Feed::default();
    let run = Run::new((0..HIGH + 10).map(|_| delivery(1)).collect());
    assert_eq!(feed.push_run(TAG, &run), Taken { records: HIGH, room: Room::Full });
    while next(&feed).is_ready() {}
    let run = Run::new(vec![delivery(1), delivery(1)]);
    assert_eq!(feed.push_run(TAG, &run), Taken { records: 2, room: Room::Free });
}
