//! Tests of this crate; nothing here knows a hub or a protocol.

mod feed;
mod run;
