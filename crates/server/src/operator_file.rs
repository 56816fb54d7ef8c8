//! The operator token of an installation whose configuration names none: made by the first start,
//! kept in the data directory for its owner's eyes only. It must not print the token.

use secrecy::{ExposeSecret, SecretString};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use stdx::Rng;

const RANDOM_BYTES: usize = 24;

/// The token of an earlier start, or a new one.
pub fn load_or_create(path: &Path, rng: &dyn Rng) -> Result<SecretString> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned().into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let made = make(rng);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written beside and moved into place: a crash leaves the whole file or none.
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(made.expose_secret().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    tracing::info!(
        file = %path.display(),
        "made an operator token; with it `mainstem user create-owner` sets the first user up"
    );
    Ok(made)
}

pub fn make(rng: &dyn Rng) -> SecretString {
    let mut bytes = [0; RANDOM_BYTES];
    rng.fill(&mut bytes);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("msadmin_{digits}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_start_makes_it_and_the_next_finds_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("data").join("operator.token");
        let rng = testkit::rng::SeededRng::shared(1);
        let made = load_or_create(&path, &*rng).expect("made");
        let found = load_or_create(&path, &*rng).expect("found");
        assert_eq!(made.expose_secret(), found.expose_secret());
        assert!(made.expose_secret().len() >= identity::operator::TOKEN_BYTES_MIN);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
