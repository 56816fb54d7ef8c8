//! What the hub stands on in a run: a control plane that is a copy of one made once per thread, an
//! engine that lets more than one observer hear, and connections that are full now and then.

mod control;
mod outlet;
mod tee;

pub use control::{Control, Template, consumer_of};
pub use outlet::{Outlet, Taken};
pub use tee::Tee;
