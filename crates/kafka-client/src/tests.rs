//! The library against a broker of this test's own, over real sockets, and its pure parts.

mod batches;
mod broker;
mod partitioner;
mod retries;
mod scram;
mod settings;
