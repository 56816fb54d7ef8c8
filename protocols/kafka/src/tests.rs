//! The parts by themselves: bytes, records and groups. The whole way is in `tests/e2e`.

mod coordinated;
mod group;
mod packing;
mod principal;
mod scram;
mod settings;
mod slots;
mod transactions;
mod wire;
