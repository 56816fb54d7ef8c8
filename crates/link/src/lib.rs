//! Several processes of one node on one port. One of them, the owner, has the log and the real
//! hub; the others, its workers, have edges and protocols and a `port::Hub` that asks the owner.
//! Every check, quota, rate and meter is the owner's, so it acts as if there were one process.
//! Records cross to a worker once and are fanned out by shards there (`hub::branch`). It must not
//! know a protocol's words, nor how the processes are started.
//!
//! ```text
//!  client -> worker: edge, protocols -> RemoteHub --calls, notices--> owner: Node
//!                         shards     <- Branch   <----- news ------- Trunk (a mailbox of the node)
//! ```
#![forbid(unsafe_code)]

mod call;
mod figures;
mod frame;
pub mod owner;
mod queue;
mod socket;
mod wire;
pub mod worker;

#[cfg(test)]
mod tests;

pub use figures::labelled;
pub use owner::{Owner, Workers};
pub use socket::Address;
pub use worker::{Joined, RemoteHub, join};

/// The decoders by themselves, for fuzzing.
pub mod framing {
    pub use crate::frame::{ToOwner, ToWorker, frame, next};
    pub use crate::wire::{Coded, Context, Malformed};
}
