//! Load from outside: many lean connections driven by few threads, records sent when they are due
//! and timed from then, and what it all costs the server. It knows how a connection is held, and
//! no protocol of anybody: a `Dialect` does, ours or that of a server we are measured beside.
#![forbid(unsafe_code)]

pub mod compare;
pub mod crew;
pub mod dialect;
pub mod http;
pub mod latency;
pub mod lead;
pub mod links;
pub mod order;
pub mod pace;
pub mod press;
pub mod stamp;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod watch;
pub mod ws;

pub use dialect::{Dialect, Heard, Line};
pub use latency::Latencies;
pub use lead::Lead;
pub use order::{Plan, Tally};
pub use press::{Press, Rate, Signals, Work};

/// What ends a load: told in words, to whoever runs it.
pub type Fault = String;

/// Takes as many file descriptors as the system allows.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, all);
}
