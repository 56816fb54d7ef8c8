//! A connection as the hub holds it: from any thread it can be closed, on its shard's thread it is
//! fed. It names the connection by number, so it may outlive it.

use crate::shard;
use crate::shard::mailbox::{Mailbox, Message};
use crate::shard::slots::SlotId;
use port::{Closer, Event, Refusal, Room, Run, ShardId, Sink, Taken};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use types::SubscriptionTag;

pub struct Handle {
    pub shard: ShardId,
    pub slot: SlotId,
    pub mailbox: Arc<Mailbox>,
    /// The first reason counts, and a connection costs the mailbox one letter at most.
    pub is_closed: AtomicBool,
}

impl Sink for Handle {
    fn push(&self, tag: SubscriptionTag, event: Event<'_>) -> Room {
        let Some(shard) = shard::current().filter(|shard| shard.id == self.shard) else {
            debug_assert!(false, "a sink was fed outside its shard");
            return Room::Free;
        };
        match shard.connection(self.slot) {
            Some(connection) => connection.push(&shard, tag, event),
            None => Room::Free,
        }
    }

    fn push_run(&self, tag: SubscriptionTag, run: &Run) -> Taken {
        let all = Taken { records: run.deliveries().len(), room: Room::Free };
        let Some(shard) = shard::current().filter(|shard| shard.id == self.shard) else {
            debug_assert!(false, "a sink was fed outside its shard");
            return all;
        };
        match shard.connection(self.slot) {
            Some(connection) => connection.push_run(&shard, tag, run),
            None => all,
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shard) = shard::current().filter(|shard| shard.id == self.shard) else {
            debug_assert!(false, "a sink was asked outside its shard");
            return Poll::Ready(());
        };
        match shard.connection(self.slot) {
            Some(connection) => connection.poll_room(&shard, cx),
            None => Poll::Ready(()),
        }
    }
}

impl Closer for Handle {
    fn close(&self, why: Refusal) {
        if !self.is_closed.swap(true, Ordering::AcqRel) {
            self.mailbox.post(Message::Close(self.slot, why));
        }
    }
}
