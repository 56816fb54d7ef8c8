//! Tests of REST against a hub in memory, through its router and without a socket.
