//! The writer's work without its threads: whoever holds a `Driver` does each step by hand and in
//! the order it likes, through the very functions the threads call. For a simulation, where the
//! order of everything comes from a seed.

use crate::append::{Appender, Turn};
use crate::device::Blocks;
use crate::inner::Inner;
use crate::pool::Step;
use crate::prepare::CHUNK_BYTES;
use crate::{Source, Store};
use std::fmt;
use std::sync::Arc;

/// All that a store's threads do, one step per call. Every call blocks for as long as the disk
/// does and answers whether there was something to do.
pub struct Driver {
    inner: Arc<Inner>,
    source: Arc<dyn Source>,
    appender: Appender,
    zeros: Blocks,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Store {
    /// Instead of `start`: no thread is started, the caller is the writer.
    pub fn drive(self: &Arc<Self>, source: Arc<dyn Source>) -> Driver {
        let inner = self.inner.clone();
        let mut appender = Appender::new(inner.clone());
        appender.prepare();
        Driver { inner, source, appender, zeros: Blocks::new(CHUNK_BYTES as usize) }
    }
}

impl Driver {
    /// One group: gathered, written, flushed and settled.
    pub fn commit(&mut self) -> bool {
        self.appender.turn(&*self.source) == Turn::Settled
    }

    /// Writes one waiting footer.
    pub fn seal(&mut self) -> bool {
        self.inner.seal_step()
    }

    /// Cuts one sealed file to its content.
    pub fn shrink(&mut self) -> bool {
        self.inner.shrink_step()
    }

    /// Writes one piece ahead of the writer, or makes an extent ahead of need.
    pub fn prepare(&mut self) -> bool {
        match self.inner.pool.step(&mut self.zeros) {
            Step::Idle => {
                self.inner.look_at_space();
                false
            }
            Step::OpenFailed(reason) => {
                self.inner.fail(reason);
                false
            }
            Step::Wrote { .. } | Step::Created => true,
        }
    }

    /// As `Writer::stop`: commits what the source still has, writes the footers that wait, and
    /// leaves the mark of a clean end.
    pub fn stop(mut self) {
        while self.commit() {}
        self.appender.close();
        while self.seal() {}
    }
}
