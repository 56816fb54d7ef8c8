//! Reference pages made from the code, so that they cannot say anything else: settings from the
//! doc comments of the config structs, errors, metrics, commands and the OpenAPI document from the
//! binary itself.

use crate::dev::target_dir;
use crate::run::{Outcome, output, root};
use std::fs;
use std::process::Command;

#[derive(clap::Args)]
pub struct Gen {
    /// Writes nothing; fails when a page is not what it would be.
    #[arg(long)]
    pub check: bool,
}

/// What the binary prints, and where it goes.
const PAGES: &[(&[&str], &str)] = &[
    (&["reference", "config"], "docs/reference/config.md"),
    (&["reference", "errors"], "docs/reference/errors.md"),
    (&["reference", "metrics"], "docs/reference/metrics.md"),
    (&["reference", "commands"], "docs/reference/commands.md"),
    (&["reference", "permissions"], "docs/reference/permissions.md"),
    (&["reference", "security-checks"], "docs/reference/security-checks.md"),
    (&["reference", "openapi"], "docs/reference/openapi.json"),
];
/// A protocol's README is its page.
const PROTOCOLS: &str = "protocols";

impl Gen {
    pub fn run(&self) -> Outcome {
        let mut stale = Vec::new();
        for (arguments, page) in PAGES {
            let mut command = Command::new(target_dir().join("debug/mainstem"));
            let text = output(command.args(*arguments).current_dir(root()))?;
            self.settle(page, &text, &mut stale)?;
        }
        let listed = fs::read_dir(root().join(PROTOCOLS)).map_err(|error| error.to_string())?;
        for folder in listed.filter_map(Result::ok) {
            let name = folder.file_name().to_string_lossy().into_owned();
            if let Ok(text) = fs::read_to_string(folder.path().join("README.md")) {
                let page = format!("docs/protocols/{name}.md");
                self.settle(&page, &text, &mut stale)?;
            }
        }
        match stale.is_empty() {
            true => Ok(()),
            false => Err(format!("not up to date: {}\nrun `cargo xtask gen`", stale.join(", "))),
        }
    }

    fn settle(&self, page: &str, text: &str, stale: &mut Vec<String>) -> Outcome {
        let path = root().join(page);
        if fs::read_to_string(&path).is_ok_and(|now| now == text) {
            return Ok(());
        }
        if self.check {
            stale.push(page.to_owned());
            return Ok(());
        }
        let folder = path.parent().ok_or("a page lies in a folder")?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{page}: {error}"))
    }
}
