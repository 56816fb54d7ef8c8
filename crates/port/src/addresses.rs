//! How many connections a client address has, where several processes serve one port and none of
//! them sees all.

use crate::Answer;
use std::any::Any;
use std::net::IpAddr;

/// One connection of an address; dropping it makes room for another.
pub type AddressHeld = Box<dyn Any + Send + Sync>;

pub trait Addresses: Send + Sync + 'static {
    /// Counts one more connection; `None` when the address has `count_max` or more.
    fn hold(&self, address: IpAddr, count_max: u32) -> Answer<'_, Option<AddressHeld>>;
}
