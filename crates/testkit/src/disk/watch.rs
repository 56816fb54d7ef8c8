//! Listening to a simulated disk: every call with its bytes, in order, for whoever compares two
//! runs.

use super::Operation;

/// One call of the disk or a file.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub operation: Operation,
    /// Of a read or a write: where.
    pub at: u64,
    /// What is written or was read. Each call is also told once before it is made, without bytes.
    pub bytes: &'a [u8],
}

pub trait Watch: Send + Sync + 'static {
    /// Must not call the disk.
    fn called(&self, call: &Call<'_>);
}
