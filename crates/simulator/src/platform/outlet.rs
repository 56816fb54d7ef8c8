//! A connection: it takes what it is given, says at random that it is full, and waits then until
//! somebody empties it.

use crate::book::Place;
use crate::draw::Draw;
use parking_lot::Mutex;
use port::Delivery;
use port::sink::{Event, Loss, Room, Sink};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use types::{Offset, SubscriptionTag};

/// Deliveries a connection holds at most before it is full in any case.
const ROOM: usize = 12;

/// What a reader is given.
pub enum Taken {
    Delivery(Arc<Delivery>),
    CaughtUp,
    /// What was not stored when the power went is undone.
    Undone {
        place: Place,
        lost: Range<Offset>,
    },
    /// What no follower of a run may be given: records are missing, or in a shape nobody asked for.
    Wrong(String),
    Ended(String),
}

struct State {
    waiting: VecDeque<Taken>,
    is_full: bool,
    wakers: Vec<Waker>,
    draw: Draw,
    /// Every so many deliveries one is lost, or given twice.
    loses: bool,
    repeats: bool,
}

pub struct Outlet(Mutex<State>);

impl Outlet {
    pub fn new(seed: u64, sabotage: crate::Sabotage) -> Arc<Outlet> {
        Arc::new(Outlet(Mutex::new(State {
            waiting: VecDeque::new(),
            is_full: false,
            wakers: Vec::new(),
            draw: Draw::new(seed),
            loses: sabotage == crate::Sabotage::LosesDelivery,
            repeats: sabotage == crate::Sabotage::RepeatsDelivery,
        })))
    }

    /// The oldest so many; the connection has room again.
    pub fn take(&self, count: usize) -> Vec<Taken> {
        let mut state = self.0.lock();
        let count = count.min(state.waiting.len());
        let taken = state.waiting.drain(..count).collect();
        state.is_full = state.waiting.len() >= ROOM;
        if !state.is_full {
            state.wakers.drain(..).for_each(Waker::wake);
        }
        taken
    }
}

impl Sink for Outlet {
    fn push(&self, _: SubscriptionTag, event: Event<'_>) -> Room {
        let mut state = self.0.lock();
        match event {
            Event::Delivery(delivery) => {
                let is_wrong = state.draw.one_in(5);
                if !(is_wrong && state.loses) {
                    state.waiting.push_back(Taken::Delivery(Arc::clone(delivery)));
                }
                if is_wrong && state.repeats {
                    state.waiting.push_back(Taken::Delivery(Arc::clone(delivery)));
                }
            }
            Event::CaughtUp => state.waiting.push_back(Taken::CaughtUp),
            Event::Gap { topic, partition, from, to, why: Loss::HistoryLost } => {
                let place = (topic, partition);
                state.waiting.push_back(Taken::Undone { place, lost: from..to });
            }
            Event::Gap { partition, from, to, .. } => {
                let text = format!("a gap from {from} to {to} of {partition}");
                state.waiting.push_back(Taken::Wrong(text));
            }
            Event::Records(_) | Event::Progress(_) => {
                state.waiting.push_back(Taken::Wrong("a shape nobody asked for".to_owned()));
            }
            Event::Ended(why) => state.waiting.push_back(Taken::Ended(why.message().to_owned())),
        }
        state.is_full |= state.waiting.len() >= ROOM || state.draw.one_in(6);
        if state.is_full { Room::Full } else { Room::Free }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if !state.is_full {
            return Poll::Ready(());
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}
