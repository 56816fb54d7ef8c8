//! Tests of what touches the machine; the pure parts have theirs beside them.

mod open_files;
mod patch;
mod system_disk;
