//! Tests of this crate; nothing here opens a socket.

mod bodies;
mod faults;
mod params;
mod publishes;
mod scans;
mod views;
