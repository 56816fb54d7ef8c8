//! The codec by tables, the edge over real sockets.

mod lean_hub;
mod lean_session;
