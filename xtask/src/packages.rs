//! Debian packages the tests drive or build with: databases, browsers, outside clients, Kerberos.
//! Installed when we may (root on Debian); otherwise the missing ones are named and their tests say
//! that they did not run.

use crate::run::{Outcome, exists, step};
use std::path::Path;
use std::process::Command;

/// A package, and a file that shows it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("postgresql-15", "/usr/lib/postgresql/15/bin/postgres"),
    ("chromium", "/usr/bin/chromium"),
    ("kcat", "/usr/bin/kcat"),
    ("pkg-config", "/usr/bin/pkg-config"),
    ("libkrb5-dev", KERBEROS),
    ("libclang-dev", CLANG),
];
const KERBEROS: &str = "/usr/include/gssapi/gssapi.h";
const CLANG: &str = "/usr/lib/llvm-14/lib/libclang.so";

/// Whether the feature `gssapi` can be built here.
pub fn has_kerberos() -> bool {
    Path::new(KERBEROS).exists() && Path::new(CLANG).exists() && exists("pkg-config")
}

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
