//! The trail into a file that grows and is put aside when it is large. A step counts only when it
//! is on the disk.

use crate::config::FileSink;
use crate::format::Format;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tenancy::AuditRecord;

pub(super) struct FileWriter {
    sink: FileSink,
    format: Format,
}

/// `path.3`
fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Renames `path` to `path.1` and so on; the oldest goes.
fn rotate(path: &Path, files_max: u32) -> std::io::Result<()> {
    if files_max == 0 {
        return std::fs::remove_file(path);
    }
    for number in (1..files_max).rev() {
        let from = aside(path, number);
        if from.try_exists()? {
            std::fs::rename(from, aside(path, number + 1))?;
        }
    }
    std::fs::rename(path, aside(path, 1))
}

fn append(sink: &FileSink, lines: &[u8]) -> std::io::Result<()> {
    let open = || -> std::io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&sink.path)
    };
    let mut file = open()?;
    let bytes_max = u64::from(sink.mib_max) << 20;
    let size = file.metadata()?.len();
    if size > 0 && size.saturating_add(lines.len() as u64) > bytes_max {
        drop(file);
        rotate(&sink.path, sink.files_max)?;
        file = open()?;
    }
    file.write_all(lines)?;
    file.sync_all()
}

impl FileWriter {
    pub(super) fn new(sink: FileSink, format: Format) -> FileWriter {
        FileWriter { sink, format }
    }

    pub(super) async fn write(&mut self, records: &[AuditRecord]) -> Result<(), String> {
        let mut lines = String::new();
        for record in records {
            lines.push_str(&self.format.line(record));
            lines.push('\n');
        }
        let sink = self.sink.clone();
        let shown = sink.path.display().to_string();
        let write = tokio::task::spawn_blocking(move || append(&sink, lines.as_bytes()));
        let written = write.await.map_err(|error| error.to_string())?;
        written.map_err(|error| format!("{shown}: {error}"))
    }
}
