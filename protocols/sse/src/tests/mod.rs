//! Tests of Server-Sent Events, against a hub in memory and without a socket.
