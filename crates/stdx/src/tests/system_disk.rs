//! The machine's own disk, on the file system of the temporary directory.

use crate::disk::{Disk, Open, SystemDisk};
use std::io;
use std::path::PathBuf;

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("stdx-disk-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a scratch directory can be made");
    dir
}

#[test]
fn what_is_written_is_read_back() {
    let dir = scratch("write");
    let path = dir.join("file");
    let file = SystemDisk.open(&path, Open::Write).expect("opens");
    file.allocate(8192).expect("allocates");
    file.write_at(b"hello", 4096).expect("writes");
    file.flush().expect("flushes");
    SystemDisk.flush_dir(&dir).expect("flushes");
    let reader = SystemDisk.open(&path, Open::Read).expect("opens");
    let mut buffer = [9; 6];
    assert_eq!(reader.read_at(&mut buffer, 4096).expect("reads"), 6);
    assert_eq!(&buffer, b"hello\0");
    assert_eq!(reader.read_at(&mut buffer, 8190).expect("reads"), 2);
    let mut room = Vec::with_capacity(4);
    room.push(b'>');
    assert_eq!(reader.read_onto(&mut room, 4097).expect("reads"), room.capacity() - 1);
    assert_eq!(&room[..4], b">ell");
    assert_eq!(reader.read_onto(&mut Vec::with_capacity(4), 8191).expect("reads"), 1);
    assert_eq!(reader.len().expect("answers"), 8192);
    assert_eq!(SystemDisk.list(&dir).expect("lists"), [PathBuf::from("file")]);
    assert!(SystemDisk.space(&dir).expect("answers").total_bytes > 0);
    std::fs::remove_dir_all(dir).expect("removes");
}

#[test]
fn direct_writes_work_where_the_probe_says_so() {
    let dir = scratch("direct");
    if let Some(align) = SystemDisk.direct_align(&dir) {
        let file = SystemDisk.open(&dir.join("file"), Open::Direct).expect("opens");
        let buffer = vec![7; 2 * align];
        let start = buffer.as_ptr().align_offset(align);
        file.write_at(&buffer[start..start + align], 0).expect("writes");
        assert_eq!(file.len().expect("answers"), align as u64);
    }
    assert!(SystemDisk.open(&dir.join("absent"), Open::Read).is_err());
    std::fs::remove_dir_all(dir).expect("removes");
}

#[test]
fn directories_are_made_with_all_above_them() {
    let dir = scratch("dirs");
    let inner = dir.join("a/b/c");
    SystemDisk.create_dir(&inner).expect("makes three");
    assert!(inner.is_dir());
    SystemDisk.create_dir(&inner).expect("is there already");
    std::fs::write(dir.join("file"), b"").expect("writes");
    SystemDisk.create_dir(&dir.join("file/d")).expect_err("not in a file");
    std::fs::remove_dir_all(dir).expect("removes");
}

#[test]
fn a_lock_excludes_until_dropped() {
    let dir = scratch("lock");
    let path = dir.join("lock");
    let held = SystemDisk.lock(&path).expect("free");
    let refused = SystemDisk.lock(&path).err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
    drop(held);
    SystemDisk.lock(&path).map(drop).expect("free");
    std::fs::remove_dir_all(dir).expect("removes");
}
