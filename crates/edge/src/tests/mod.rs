//! The codec by tables, the edge over real sockets.

mod clients;
mod deflate;
mod frames;
mod gathering;
mod harness;
mod hostile;
mod http;
mod lean_hub;
mod lean_session;
mod output;
mod streams;
mod waiting;
mod web_socket;
