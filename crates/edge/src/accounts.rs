//! What waits for the clients of one account, over all edge threads: the connections that sessions
//! say belong together share a cap on it. Counted in coarse steps, so that clients that keep up
//! touch nothing that threads share.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes are charged in such steps; a connection may be so much ahead of its account.
const STEP_BYTES: usize = 16 * 1024;

pub struct Accounts {
    open: Mutex<HashMap<u128, Arc<Account>>>,
    bytes_max: usize,
}

struct Account {
    id: u128,
    bytes: AtomicUsize,
}

/// How much of its cap an account uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Fine,
    /// Three quarters: who can go on from the log should.
    High,
    Over,
}

/// A connection's part in its account; dropping it gives back what it was charged.
pub struct Share {
    accounts: Arc<Accounts>,
    account: Arc<Account>,
    charged: usize,
}

impl Accounts {
    pub fn new(bytes_max: usize) -> Arc<Accounts> {
        Arc::new(Accounts { open: Mutex::default(), bytes_max })
    }

    pub fn join(self: &Arc<Self>, id: u128) -> Share {
        let new = || Arc::new(Account { id, bytes: AtomicUsize::new(0) });
        let account = Arc::clone(self.open.lock().entry(id).or_insert_with(new));
        Share { accounts: Arc::clone(self), account, charged: 0 }
    }

    /// Accounts that have connections.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }
}

impl Share {
    /// The connection now holds so many bytes; answers how its account stands, if that changed
    /// what it is charged.
    pub fn charge(&mut self, bytes: usize) -> Use {
        let stepped = bytes - bytes % STEP_BYTES;
        if stepped > self.charged {
            self.account.bytes.fetch_add(stepped - self.charged, Ordering::Relaxed);
        } else if stepped < self.charged {
            self.account.bytes.fetch_sub(self.charged - stepped, Ordering::Relaxed);
        }
        self.charged = stepped;
        if stepped == 0 { Use::Fine } else { self.used() }
    }

    pub fn used(&self) -> Use {
        let bytes = self.account.bytes.load(Ordering::Relaxed);
        if bytes > self.accounts.bytes_max {
            Use::Over
        } else if bytes > self.accounts.bytes_max / 4 * 3 {
            Use::High
        } else {
            Use::Fine
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.bytes.fetch_sub(self.charged, Ordering::Relaxed);
        let mut open = self.accounts.open.lock();
        // Ours and the table's: nobody else has it, and under the lock nobody takes it.
        if Arc::strong_count(&self.account) == 2 {
            open.remove(&self.account.id);
        }
    }
}
