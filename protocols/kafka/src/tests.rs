//! The parts by themselves: bytes, records and groups. The whole way is in `tests/e2e`.

mod access;
mod coordinated;
mod frames;
mod group;
mod kerberos;
mod page;
mod pattern;
mod principal;
mod scram;
mod settings;
mod slots;
mod transactions;
