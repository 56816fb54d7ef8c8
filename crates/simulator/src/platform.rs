//! What the hub stands on in a run: a control plane made once per thread and never changed, an
//! engine that lets more than one observer hear, and connections that are full now and then.

mod control;
mod outlet;
mod tee;

pub use control::{Control, consumer_of};
pub use outlet::{Outlet, Taken};
pub use tee::Tee;
