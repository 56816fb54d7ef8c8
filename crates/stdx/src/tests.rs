//! Tests of what touches the machine; the pure parts have theirs beside them.

mod memory;
mod open_files;
mod patch;
mod system_disk;
