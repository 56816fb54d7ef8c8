//! The root secret of an installation and what is derived from it. One file of 32 random bytes is
//! all an operator has to keep: the pepper of API keys, the signing key of cursors and the sealing
//! key of stored secrets come from it by HKDF (RFC 5869) under different names, so none of them
//! tells anything about another. Losing the file invalidates every key; copying it is a breach.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use secrecy::{ExposeSecret, SecretBox};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Rng;

/// Bytes of the root secret and of each derived one.
pub const SECRET_BYTES: usize = 32;
/// Read and write for the owner only.
const FILE_MODE: u32 = 0o600;
/// Anybody else's access, and writing by the group. Reading by the group is left to the operator,
/// because mounted secrets often have it.
const FORBIDDEN_MODE: u32 = 0o027;

/// Separates this platform's keys from anything else derived from the same bytes.
const SALT: &[u8] = b"mainstem root secret v1";

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("cannot read or create the secret file {path}: {cause}")]
    File { path: PathBuf, cause: io::Error },
    #[error("the secret file {0} does not hold exactly 32 bytes")]
    Length(PathBuf),
    #[error(
        "the secret file {path} is open to others (mode {mode:o}): \
         take the access away with `chmod 600`"
    )]
    Mode { path: PathBuf, mode: u32 },
}

/// Everything derived from the root secret. Debug output shows nothing of it.
pub struct Secrets {
    root: SecretBox<[u8; SECRET_BYTES]>,
}

impl Secrets {
    /// Reads the file, or creates it when there is none. Blocking; meant for the start.
    pub fn load_or_create(path: &Path, rng: &dyn Rng) -> Result<Secrets, SecretsError> {
        let failed = |cause| SecretsError::File { path: path.to_owned(), cause };
        match File::open(path) {
            Ok(file) => Secrets::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path, rng).map_err(failed)?;
                Secrets::read(path, File::open(path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// From bytes held elsewhere (a vault, a test).
    pub fn from_bytes(root: [u8; SECRET_BYTES]) -> Secrets {
        Secrets { root: SecretBox::new(Box::new(root)) }
    }

    fn read(path: &Path, file: File) -> Result<Secrets, SecretsError> {
        let failed = |cause| SecretsError::File { path: path.to_owned(), cause };
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & FORBIDDEN_MODE != 0 {
            return Err(SecretsError::Mode { path: path.to_owned(), mode });
        }
        // One byte more than wanted shows that the file is too long.
        let mut bytes = Vec::with_capacity(SECRET_BYTES + 1);
        file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let root = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| SecretsError::Length(path.to_owned()))?;
        Ok(Secrets::from_bytes(root))
    }

    /// A key of its own for each purpose; the same purpose always gives the same key.
    pub fn derive(&self, purpose: &str) -> SecretBox<[u8; SECRET_BYTES]> {
        let info = [purpose.as_bytes()];
        let mut key = [0; SECRET_BYTES];
        hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
            .extract(self.root.expose_secret())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            // HKDF fails only for outputs beyond 255 hashes; this one is a single hash.
            .expect("one hash of key material is within HKDF's limit");
        SecretBox::new(Box::new(key))
    }

    /// The key under which API keys are hashed.
    pub fn pepper(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive("api key pepper").expose_secret())
    }

    /// The key under which cursors are signed.
    pub fn cursor_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive("cursor signing").expose_secret())
    }

    /// Seals small secrets for storage.
    pub fn sealer(&self, rng: Arc<dyn Rng>) -> Sealer {
        let key = UnboundKey::new(&AES_256_GCM, self.derive("sealing").expose_secret())
            // The key has the length the algorithm asks for.
            .expect("AES-256 takes 32 bytes");
        Sealer { key: LessSafeKey::new(key), rng }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

/// Written beside, flushed and linked into place: a crash leaves the whole file or none, and of
/// two processes that start at once the second takes over the first one's file.
fn create(path: &Path, rng: &dyn Rng) -> io::Result<()> {
    let mut root = [0; SECRET_BYTES];
    rng.fill(&mut root);
    let mut suffix = [0; 8];
    rng.fill(&mut suffix);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = dir.join(format!(".secret-{:016x}", u64::from_le_bytes(suffix)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
    let written = file.write_all(&root).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = fs::remove_file(&draft);
    linked.and(removed)?;
    File::open(dir)?.sync_all()
}

/// First byte of sealed data: the format, so that it can change.
const SEALED_VERSION: u8 = 1;

/// AES-256-GCM with random nonces (NIST SP 800-38D): the few secrets an installation stores stay
/// far below the 2^32 messages at which random nonces become doubtful.
pub struct Sealer {
    key: LessSafeKey,
    rng: Arc<dyn Rng>,
}

/// The sealed bytes were changed, cut, sealed for another place or with another root secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed secret cannot be opened here")]
pub struct NotSealedHere;

impl Sealer {
    /// `place` names where the result is stored (table, row): opened with another, it fails.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        self.rng.fill(&mut nonce);
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut body,
            )
            // GCM fails only for messages of 64 GiB and more.
            .expect("a secret is shorter than GCM's limit");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        sealed
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, NotSealedHere> {
        let (&version, rest) = sealed.split_first().ok_or(NotSealedHere)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(NotSealedHere)?;
        if version != SEALED_VERSION {
            return Err(NotSealedHere);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealedHere)?;
        let mut body = body.to_vec();
        let plain_bytes = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut body)
            .map_err(|_| NotSealedHere)?
            .len();
        body.truncate(plain_bytes);
        Ok(SecretBox::new(Box::new(body)))
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(hidden)")
    }
}
