//! The codec by tables, the edge over real sockets.

mod frames;
mod harness;
mod hostile;
mod http;
mod lean_hub;
mod lean_session;
mod waiting;
mod web_socket;
