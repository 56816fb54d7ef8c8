//! The real server on real sockets: one binary of tests that start `mainstem` as a child process
//! and see it as its users do. They must not reach into the engine: what cannot be seen from
//! outside is tested where it lies.

mod abuse;
mod acl;
mod administration;
mod backups;
mod bench;
mod carriers;
mod consumers;
mod contract;
mod data_folder;
mod development;
mod figures;
mod full_disk;
mod hostile_http;
mod hostile_ws;
mod kafka;
mod kill9;
mod live;
mod occupancy;
mod once;
mod pairs;
mod people;
mod plans;
mod presence;
mod processes;
mod properties;
mod readers;
mod restart;
mod revoked;
mod sealed;
mod secrets;
mod shaping;
mod stand;
mod tls;
mod trail;
