//! Which call fails, and how: a list of faults that each strike once, and the crash that is due.

use std::io;

/// The kinds of calls a fault can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Create,
    /// A file that is there.
    Open,
    List,
    MakeDir,
    Space,
    Lock,
    /// Asking how long a file is.
    Measure,
    Read,
    Write,
    Flush,
    FlushDir,
    Rename,
    Remove,
    /// `set_len` and `allocate`.
    Resize,
}

impl Operation {
    /// All of them, for whoever draws one.
    pub const ALL: [Operation; 14] = [
        Operation::Create,
        Operation::Open,
        Operation::List,
        Operation::MakeDir,
        Operation::Space,
        Operation::Lock,
        Operation::Measure,
        Operation::Read,
        Operation::Write,
        Operation::Flush,
        Operation::FlushDir,
        Operation::Rename,
        Operation::Remove,
        Operation::Resize,
    ];

    /// Whether the call changes what is on the disk.
    fn is_change(self) -> bool {
        use Operation::{Create, Flush, FlushDir, Remove, Rename, Resize, Write};
        matches!(self, Create | Write | Flush | FlushDir | Rename | Remove | Resize)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An input/output error; nothing was done, but a flush has dropped what it should have kept.
    Io,
    /// No space; nothing was done.
    Full,
    /// Only a part of the write arrived, then an input/output error. Of a write only.
    Short,
    /// Only a part of the write arrived, then there was no space. Of a write only.
    ShortFull,
    /// Answers what was there before the last write, and calls it good. Of a read only.
    Stale,
}

/// Strikes the `nth` call of `operation` after it was injected; 1 is the next.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub operation: Operation,
    pub nth: u64,
    pub failure: Failure,
}

#[derive(Default)]
pub(super) struct Faults {
    pub(super) changes: u64,
    pub(super) crash_at: Option<u64>,
    waiting: Vec<Fault>,
    pub(super) struck: Vec<(Operation, Failure)>,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Pass,
    /// A part arrives before the error.
    Short(io::Error),
    Stale,
    Crash,
    Fail(io::Error),
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.crash_at = None;
    }

    pub(super) fn judge(&mut self, operation: Operation) -> Verdict {
        if operation.is_change() {
            self.changes += 1;
            if self.crash_at.is_some_and(|at| self.changes >= at) {
                return Verdict::Crash;
            }
        }
        let mut struck = None;
        self.waiting.retain_mut(|fault| {
            if fault.operation == operation {
                fault.nth = fault.nth.saturating_sub(1);
                if fault.nth == 0 {
                    struck = Some(fault.failure);
                }
            }
            fault.nth > 0
        });
        match struck {
            None => Verdict::Pass,
            Some(failure) => {
                self.struck.push((operation, failure));
                let error = match failure {
                    Failure::Full | Failure::ShortFull => io::ErrorKind::StorageFull.into(),
                    // EIO, the same number on every Linux.
                    Failure::Io | Failure::Short | Failure::Stale => {
                        io::Error::from_raw_os_error(5)
                    }
                };
                let is_short = matches!(failure, Failure::Short | Failure::ShortFull);
                match operation {
                    Operation::Write if is_short => Verdict::Short(error),
                    Operation::Read if failure == Failure::Stale => Verdict::Stale,
                    _ => Verdict::Fail(error),
                }
            }
        }
    }
}
