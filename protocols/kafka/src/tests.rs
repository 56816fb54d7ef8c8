//! The parts by themselves: bytes, records and groups. The whole way is in `tests/e2e`.

mod group;
mod packing;
mod settings;
mod wire;
