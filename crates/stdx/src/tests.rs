//! Tests of what touches the machine; the pure parts have theirs beside them.

mod system_disk;
