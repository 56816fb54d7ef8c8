//! The connections of a shard, by number. A number is never reused with the same generation, so
//! who holds an old one finds nothing instead of a stranger.

use crate::ws::connection::Connection;
use std::rc::Rc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId {
    index: u32,
    generation: u32,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Rc<Connection>>,
}

#[derive(Default)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Puts in what `make` makes of its number. `None` when there are more than 2^32.
    pub fn insert(&mut self, make: impl FnOnce(SlotId) -> Connection) -> Option<Rc<Connection>> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot::default());
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        let connection = Rc::new(make(SlotId { index, generation: slot.generation }));
        slot.connection = Some(Rc::clone(&connection));
        Some(connection)
    }

    pub fn get(&self, id: SlotId) -> Option<Rc<Connection>> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.connection.clone() } else { None }
    }

    pub fn remove(&mut self, id: SlotId) -> Option<Rc<Connection>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(connection)
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn all(&self) -> Vec<Rc<Connection>> {
        self.slots.iter().filter_map(|slot| slot.connection.clone()).collect()
    }
}
