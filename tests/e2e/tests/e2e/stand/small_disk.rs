//! A small file system of a test's own, so that it can be filled to the last byte without harm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the small disk is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Memory: no direct writes, so the log writes and flushes.
    Tmpfs,
    /// A file mounted as ext4, where the log writes directly.
    Ext4,
}

/// Mounted until dropped.
pub struct SmallDisk {
    pub folder: PathBuf,
}

impl SmallDisk {
    /// `None` where mounting is not allowed, which only root may do.
    pub fn mount(under: &Path, kind: Kind, mib: u64) -> Option<SmallDisk> {
        let folder = under.join("disk");
        std::fs::create_dir(&folder).expect("a folder to mount on");
        let is_mounted = match kind {
            Kind::Tmpfs => {
                let size = format!("size={mib}m");
                succeeds(
                    Command::new("mount").args(["-t", "tmpfs", "-o", &size, "e2e"]).arg(&folder),
                )
            }
            Kind::Ext4 => {
                let image = under.join("image");
                let file = std::fs::File::create(&image).expect("a file for the image");
                file.set_len(mib << 20).expect("a sparse file");
                // No blocks are kept for root, who runs this.
                succeeds(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))
                    && succeeds(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&folder))
            }
        };
        is_mounted.then_some(SmallDisk { folder })
    }

    pub fn free_bytes(&self) -> u64 {
        let state = rustix::fs::statvfs(&self.folder).expect("a file system tells its space");
        state.f_bavail * state.f_frsize
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failed test may still have files open on it.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
