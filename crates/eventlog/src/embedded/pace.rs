//! How fast background work may go, and when it is to end. It must not know what the work is.

use super::disk::Trouble;
use crate::LogError;
use std::time::Duration;

/// Why background work ends early.
#[derive(Debug)]
pub enum Stop {
    Trouble(Trouble),
    /// The log is closing.
    Closing,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(trouble)
    }
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Stop {
        Stop::Trouble(Trouble::Log(error))
    }
}

impl From<storage::StoreError> for Stop {
    fn from(error: storage::StoreError) -> Stop {
        Stop::Trouble(error.into())
    }
}

/// Waits after each piece of work as long as the piece was worth.
pub struct Pace<'a> {
    bytes_per_second: Option<u64>,
    /// Waits that long, less when the log is closing; answers whether it is.
    wait: &'a dyn Fn(Duration) -> bool,
}

impl<'a> Pace<'a> {
    /// `None` never waits.
    pub fn new(bytes_per_second: Option<u64>, wait: &'a dyn Fn(Duration) -> bool) -> Pace<'a> {
        Pace { bytes_per_second, wait }
    }

    pub fn check(&self) -> Result<(), Stop> {
        if (self.wait)(Duration::ZERO) { Err(Stop::Closing) } else { Ok(()) }
    }

    /// So many bytes were read or written.
    pub fn spend(&self, bytes: u64) -> Result<(), Stop> {
        let wait = match self.bytes_per_second {
            None => Duration::ZERO,
            Some(rate) => Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64),
        };
        if (self.wait)(wait) { Err(Stop::Closing) } else { Ok(()) }
    }
}
