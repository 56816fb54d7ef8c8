//! Messages and records as bytes.

mod packing;
mod wire;
