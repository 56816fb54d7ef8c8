//! The log without threads of its own: whoever holds the `Driver` commits, seals, prepares and
//! maintains by hand, through the very functions the threads call, and reads of the device run
//! where they are polled. For a simulation, where the order of everything comes from a seed.

use super::core::{Blocking, Core};
use super::pace::Pace;
use super::{EmbeddedLog, OpenReport, end_with, open_core};
use crate::{LogError, Options, TopicSpec};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use storage::World;

/// All that the log's threads do, one step per call; each answers whether there was something to
/// do. Dropping it without `stop` is a crash of the log's own making: nothing more is written.
pub struct Driver {
    core: Arc<Core>,
    store: storage::Driver,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// As `open`, but no thread is started, whatever the options say.
    pub fn open_driven(
        world: World,
        options: Options,
        topics: Vec<TopicSpec>,
    ) -> Result<(Arc<EmbeddedLog>, Driver, OpenReport), LogError> {
        let (core, report) = open_core(world, options, topics, Blocking::Caller)?;
        let source = Arc::clone(&core);
        let driver = Driver { store: core.store.drive(source), core: Arc::clone(&core) };
        let (writer, tickers) = (Mutex::new(None), Mutex::default());
        Ok((Arc::new(EmbeddedLog { core, writer, tickers }), driver, report))
    }
}

impl Driver {
    /// Writes, flushes and settles one group.
    pub fn commit(&mut self) -> bool {
        self.store.commit()
    }

    /// Writes one waiting footer.
    pub fn seal(&mut self) -> bool {
        self.store.seal()
    }

    /// Cuts one sealed file to its content.
    pub fn shrink(&mut self) -> bool {
        self.store.shrink()
    }

    /// Writes one piece ahead of the writer, or makes an extent ahead of need.
    pub fn prepare(&mut self) -> bool {
        self.store.prepare()
    }

    /// Rewrites the extents most worth it.
    pub fn collect(&mut self) -> bool {
        self.core.collect(&Pace::new(None, &|_| self.core.is_closed()))
    }

    /// As `EmbeddedLog::close`.
    pub fn stop(self) {
        let Driver { core, store } = self;
        end_with(&core, || store.stop());
    }
}
