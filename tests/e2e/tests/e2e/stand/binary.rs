//! Where the `mainstem` binary lies. Cargo tells a package only about its own binaries, so it is
//! found beside this test's executable, and built when it is missing or older than its sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names a binary to test instead of the one in the target directory.
const OVERRIDE: &str = "MAINSTEM_BIN";

pub fn mainstem() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find)
}

fn find() -> PathBuf {
    if let Some(given) = std::env::var_os(OVERRIDE) {
        return given.into();
    }
    let profile = &profile_folder();
    let binary = profile.join("mainstem");
    let built = std::fs::metadata(&binary).and_then(|file| file.modified()).ok();
    if built.is_none_or(|built| newest_source() > built) {
        build(profile);
    }
    assert!(binary.exists(), "{} was not built", binary.display());
    binary
}

/// `target/debug`, from `target/debug/deps/e2e-0123456789abcdef`.
fn profile_folder() -> PathBuf {
    let own = std::env::current_exe().expect("this test's executable has a path");
    own.ancestors().nth(2).expect("an executable of cargo's lies in deps").to_path_buf()
}

/// `target`, where the tests' own logs go.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a profile lies in the target").to_path_buf()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn build(profile: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--package", "server", "--bin", "mainstem"]).current_dir(root());
    cargo.arg("--target-dir").arg(profile.parent().expect("a profile lies in the target"));
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let outcome = cargo.status().expect("cargo can be started");
    assert!(outcome.success(), "the server does not build");
}

/// When a source of the binary was last changed.
fn newest_source() -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders = vec![root().join("crates"), root().join("protocols")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
                let changed = entry.metadata().and_then(|file| file.modified());
                newest = newest.max(changed.unwrap_or(newest));
            }
        }
    }
    newest
}
