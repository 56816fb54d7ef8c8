//! Streams with state, exactly once: a [`Processor`] gets records and a [`Store`] and emits
//! records. A [`Task`] runs it over one partition of its inputs, and writes what it emitted, what
//! changed in the store, and how far it has read in one transaction. Who opens the task again, here
//! or elsewhere, restores the store and goes on; who had it before is fenced.
//!
//! What windows and joins need is kept in the store, so it is restored with it:
//! [`Windows`] (tumbling, hopping), [`Sessions`], [`Table`], [`StreamJoin`]. Time is the stream's
//! own: the newest timestamp seen. A record that comes later than the grace allows is dropped, and
//! told to the caller.
//!
//! Deliberately small: there is no plan of operators, no repartitioning, and no sharing of
//! partitions among processes; whoever runs tasks says which. Inputs of one task must be
//! partitioned alike, and the store of a task is in memory.

mod joins;
mod sessions;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod windows;

pub use joins::{JoinSide, StreamJoin, Table};
pub use sessions::{Session, Sessions};
pub use store::Store;
pub use task::{Options, Outputs, Processor, Task};
pub use windows::{Late, Window, Windows};
