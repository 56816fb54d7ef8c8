//! Where the cases get their tenants, keys and topics: in process from `MemoryHub`, in e2e from
//! the server's admin API.

use super::Soon;
use crate::memory_hub::{Driving, KeySpec, MemoryHub, Place};
use parking_lot::Mutex;
use port::{Live, ShardId};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use types::{Limits, Scopes, TopicConfig};

/// A tenant with one project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Room {
    /// `ten_...`
    pub tenant: String,
    /// `prj_...`
    pub project: String,
}

/// What has been counted of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub published: u64,
    pub delivered: u64,
}

pub trait Stage: Send + Sync {
    fn room(&self, limits: Limits) -> Soon<'_, Room>;
    /// A key of the room; answers its secret.
    fn key<'a>(&'a self, room: &'a Room, scopes: Scopes) -> Soon<'a, String>;
    fn topic<'a>(&'a self, room: &'a Room, name: &'a str, partitions: u32) -> Soon<'a, ()>;
    /// Everything counted since the room was made, once the counting has settled.
    fn counted<'a>(&'a self, room: &'a Room) -> Soon<'a, Counted>;
    /// The node goes down politely; nothing is asked of the stage after that.
    fn drain(&self) -> Soon<'_, ()>;
}

/// The memory hub as a stage, with its shard turning.
pub struct MemoryStage {
    pub hub: MemoryHub,
    places: Mutex<HashMap<Room, (Place, Counted)>>,
    _driving: Driving,
    /// Servers and the like that live as long as the stage.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl MemoryStage {
    /// Must be called on a tokio runtime: shard 0 turns there.
    pub fn new() -> Arc<MemoryStage> {
        let hub = MemoryHub::new();
        let driving = hub.drive(ShardId(0));
        Arc::new(MemoryStage {
            hub,
            places: Mutex::default(),
            _driving: driving,
            kept: Mutex::default(),
        })
    }

    /// Drops `thing` with the stage.
    pub fn keep(&self, thing: impl Any + Send) {
        self.kept.lock().push(Box::new(thing));
    }

    fn place(&self, room: &Room) -> Place {
        self.places.lock().get(room).expect("the room was made by this stage").0
    }
}

impl Stage for MemoryStage {
    fn room(&self, limits: Limits) -> Soon<'_, Room> {
        let place = self.hub.place(limits);
        let room = Room { tenant: place.tenant.to_string(), project: place.project.to_string() };
        self.places.lock().insert(room.clone(), (place, Counted::default()));
        Box::pin(std::future::ready(room))
    }

    fn key<'a>(&'a self, room: &'a Room, scopes: Scopes) -> Soon<'a, String> {
        let secret = self.hub.key_with(self.place(room), KeySpec { scopes, ..KeySpec::default() });
        Box::pin(std::future::ready(secret))
    }

    fn topic<'a>(&'a self, room: &'a Room, name: &'a str, partitions: u32) -> Soon<'a, ()> {
        let config = TopicConfig { partitions, ..TopicConfig::default() };
        self.hub.topic(self.place(room), name, config);
        Box::pin(std::future::ready(()))
    }

    fn counted<'a>(&'a self, room: &'a Room) -> Soon<'a, Counted> {
        let mut places = self.places.lock();
        for (_, project, usage) in self.hub.take_usage() {
            for (place, counted) in places.values_mut() {
                if place.project == project {
                    counted.published += usage.events_published;
                    counted.delivered += usage.events_delivered;
                }
            }
        }
        let counted = places.get(room).expect("the room was made by this stage").1;
        Box::pin(std::future::ready(counted))
    }

    fn drain(&self) -> Soon<'_, ()> {
        self.hub.drain();
        Box::pin(std::future::ready(()))
    }
}
