//! Messages and records as bytes.

mod assignments;
mod packing;
mod wire;
