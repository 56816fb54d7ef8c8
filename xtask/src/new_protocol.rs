//! A new protocol's folder from the template in `xtask/templates/protocol`: it compiles, and its
//! tests run the conformance skeleton. The two lines in `server` are shown, not written: they are
//! the decision to ship it.

use crate::run::{Outcome, root};
use std::fs;
use std::path::Path;

#[derive(clap::Args)]
pub struct NewProtocol {
    /// Folder, config key, metric label and docs slug at once: lower-case letters and digits.
    name: String,
}

impl NewProtocol {
    pub fn run(&self) -> Outcome {
        let is_name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !is_name(&self.name) {
            return Err("a protocol's name is lower-case letters and digits".to_owned());
        }
        let to = root().join("protocols").join(&self.name);
        if to.exists() {
            return Err(format!("{} is there already", to.display()));
        }
        let from = root().join("xtask/templates/protocol");
        self.copy(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
        let (name, title) = (&self.name, self.title());
        println!("protocols/{name} is made. To ship it:");
        println!("  crates/server/Cargo.toml        {name}.workspace = true");
        println!("  Cargo.toml                      {name} = {{ path = \"protocols/{name}\" }}");
        println!("  crates/server/src/protocols.rs  entry::<{name}::{title}>(),");
        println!("  changelog.d/                    a line for those who use it");
        Ok(())
    }

    fn title(&self) -> String {
        let mut letters = self.name.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    }

    fn copy(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                self.copy(&entry.path(), &to.join(file_name))?;
                continue;
            }
            let text = fs::read_to_string(entry.path())?;
            let text = text.replace("{{name}}", &self.name).replace("{{Name}}", &self.title());
            let file_name = file_name.strip_suffix(".tmpl").unwrap_or(&file_name);
            fs::write(to.join(file_name), text)?;
        }
        Ok(())
    }
}
