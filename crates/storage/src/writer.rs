//! The threads: one that commits, one that seals, one that prepares extents. Their owner joins
//! them.

use crate::append::{Appender, Turn};
use crate::inner::Inner;
use crate::siblings::Siblings;
use crate::{Source, StoreError};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The running writer. Dropping it stops it too.
pub struct Writer {
    inner: Arc<Inner>,
    appending: Option<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn start(inner: Arc<Inner>, source: Arc<dyn Source>) -> Writer {
        let sealing = inner.clone();
        let preparing = inner.clone();
        let background = vec![
            spawn("log-seal", move || sealing.run_sealing()),
            spawn("log-prepare", move || {
                let failed = |reason| preparing.fail(reason);
                preparing.pool.run(&failed, &|| preparing.look_at_space());
            }),
        ];
        let appending = inner.clone();
        let appending = spawn("log-write", move || run(appending, &*source));
        Writer { inner, appending: Some(appending), background }
    }

    /// Commits what the source still has, then joins all threads. Seals nothing; a mark says
    /// where the data ends, so that the next start need not search for it.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        self.inner.bell.stop();
        let appending = self.appending.take();
        let threads = appending.into_iter().chain(self.background.drain(..));
        for (index, thread) in threads.enumerate() {
            if index > 0 {
                // Only after the writer has ended: it may still hand over a full extent.
                self.inner.stop_sealing();
                self.inner.pool.stop();
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the log had panicked");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    // Only at start-up; a process that cannot have three threads cannot serve anybody.
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started")
}

fn run(inner: Arc<Inner>, source: &dyn Source) {
    assert!(inner.bell.listen(), "a store has one writer");
    let work = AssertUnwindSafe(|| commit_until_stopped(&inner, source));
    let Err(panic) = panic::catch_unwind(work) else { return };
    // A source that panics must not leave appends waiting for ever without a word.
    let error = StoreError::Failed("the writer panicked".to_owned());
    inner.fail("the writer panicked".to_owned());
    if panic::catch_unwind(AssertUnwindSafe(|| source.settled(Err(&error)))).is_err() {
        tracing::error!("the source panicked again when it was told that the log has failed");
    }
    panic::resume_unwind(panic)
}

fn wait_for_siblings(inner: &Inner, source: &dyn Source, siblings: &mut Siblings) {
    let clock = &inner.world.clock;
    if let Some(wait) = siblings.wait(source.arrivals(), clock.monotonic()) {
        source.tell_when(wait.appends);
        let has_all = || source.arrivals().is_some_and(|now| now.appends >= wait.appends);
        inner.bell.linger(wait.longest, has_all);
        source.tell_when(u64::MAX);
    }
    siblings.gathers(source.arrivals(), clock.monotonic());
}

fn commit_until_stopped(inner: &Arc<Inner>, source: &dyn Source) {
    let mut appender = Appender::new(inner.clone());
    appender.prepare();
    loop {
        inner.bell.clear();
        wait_for_siblings(inner, source, &mut appender.siblings);
        match appender.turn(source) {
            Turn::Settled => {}
            Turn::Idle if inner.bell.is_stopping() => break,
            Turn::Idle => inner.bell.wait(),
        }
    }
    appender.close();
}
