//! The real server on real sockets: one binary of tests that start `mainstem` as a child process
//! and see it as its users do. They must not reach into the engine: what cannot be seen from
//! outside is tested where it lies.

mod contract;
mod kill9;
mod pairs;
mod properties;
mod stand;
