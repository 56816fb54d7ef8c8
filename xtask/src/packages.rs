//! Debian packages the tests drive: databases, browsers, outside clients. Installed when we may
//! (root on Debian); otherwise the missing ones are named and their tests say that they did not
//! run.

use crate::run::{Outcome, exists, step};
use std::path::Path;
use std::process::Command;

/// A package, and a file that shows it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("postgresql-15", "/usr/lib/postgresql/15/bin/postgres"),
    ("chromium", "/usr/bin/chromium"),
    ("kcat", "/usr/bin/kcat"),
];

pub fn install() -> Outcome {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !exists("apt-get") || !is_root() {
        eprintln!("not installed, and not ours to install: {}", missing.join(", "));
        return Ok(());
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y"]);
        command
    };
    step(apt().arg("update"))?;
    step(apt().args(["install", "--no-install-recommends"]).args(&missing))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
