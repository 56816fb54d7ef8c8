//! Tests of this crate; nothing here opens a socket.
