//! Tests of reading with requests, against a hub in memory and without a socket.
