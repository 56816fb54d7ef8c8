//! The root key: what it is, where it comes from, and the one thing it does, which is to wrap the
//! ring key. It must not know what the ring holds.

pub(crate) mod file;
pub(crate) mod passphrase;
mod vault;

pub use vault::Vault;

use crate::cipher::{self, MAC_BYTES, Purpose, SEALED_KEY_BYTES};
use crate::error::KeysError;
use crate::ring::RootHeader;
use crate::secret::Secret;
use aws_lc_rs::digest;
pub(crate) use passphrase::Derivation;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;
use stdx::{Disk, Rng};

/// Names a root key without telling anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootId(pub [u8; 16]);

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    File,
    Passphrase,
    Environment,
    Vault,
}

impl RootKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            RootKind::File => 1,
            RootKind::Passphrase => 2,
            RootKind::Environment => 3,
            RootKind::Vault => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<RootKind> {
        match code {
            1 => Some(RootKind::File),
            2 => Some(RootKind::Passphrase),
            3 => Some(RootKind::Environment),
            4 => Some(RootKind::Vault),
            _ => None,
        }
    }

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            RootKind::File => "file",
            RootKind::Passphrase => "passphrase",
            RootKind::Environment => "environment",
            RootKind::Vault => "vault",
        }
    }
}

/// Where a root key is to be had; it may not be there yet.
#[derive(Clone)]
pub enum RootSource {
    /// 32 bytes in a file.
    File(PathBuf),
    Passphrase(SecretString),
    /// 32 bytes as 64 hexadecimal digits or base64.
    Environment(SecretString),
    /// A key that never leaves the vault.
    Vault(Vault),
}

impl fmt::Debug for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl RootSource {
    pub fn kind(&self) -> RootKind {
        match self {
            RootSource::File(_) => RootKind::File,
            RootSource::Passphrase(_) => RootKind::Passphrase,
            RootSource::Environment(_) => RootKind::Environment,
            RootSource::Vault(_) => RootKind::Vault,
        }
    }

    /// For people: the kind, and the place where there is one to name.
    pub fn place(&self) -> String {
        match self {
            RootSource::File(path) => format!("file {}", path.display()),
            RootSource::Passphrase(_) => "passphrase".to_owned(),
            RootSource::Environment(_) => "environment".to_owned(),
            RootSource::Vault(vault) => vault.place(),
        }
    }

    /// The root that the ring was made under, if this source has it: a passphrase needs what the
    /// ring says of it. `None`: a file that is not there, or another kind of root.
    pub(crate) fn load(
        &self,
        disk: &dyn Disk,
        header: &RootHeader,
    ) -> Result<Option<Root>, KeysError> {
        if header.kind != self.kind() {
            return Ok(None);
        }
        match (self, &header.derivation) {
            (RootSource::Passphrase(text), Some(derivation)) => {
                passphrase::root(text, derivation.clone()).map(Some)
            }
            (RootSource::Passphrase(_), None) => Ok(None),
            _ => self.find(disk),
        }
    }

    /// The root as it is, for a ring that is to be made; a passphrase gets a fresh salt. `None`: a
    /// file that is not there.
    pub(crate) fn load_fresh(
        &self,
        disk: &dyn Disk,
        rng: &dyn Rng,
    ) -> Result<Option<Root>, KeysError> {
        match self {
            RootSource::Passphrase(text) => {
                passphrase::root(text, Derivation::fresh(rng)).map(Some)
            }
            _ => self.find(disk),
        }
    }

    fn find(&self, disk: &dyn Disk) -> Result<Option<Root>, KeysError> {
        match self {
            RootSource::File(path) => {
                let key = file::read(disk, path)?;
                Ok(key.map(|key| Root::of_key(RootKind::File, key)))
            }
            RootSource::Passphrase(_) => Ok(None),
            RootSource::Environment(text) => {
                let key = passphrase::secret_of_text(text.expose_secret())?;
                Ok(Some(Root::of_key(RootKind::Environment, key)))
            }
            RootSource::Vault(vault) => Ok(Some(Root::Vault(vault.clone()))),
        }
    }
}

/// A root key that can be used.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    Key { kind: RootKind, key: Secret, derivation: Option<Derivation> },
    Vault(Vault),
}

impl Root {
    pub(crate) fn of_key(kind: RootKind, key: Secret) -> Root {
        Root::Key { kind, key, derivation: None }
    }

    pub(crate) fn kind(&self) -> RootKind {
        match self {
            Root::Key { kind, .. } => *kind,
            Root::Vault(_) => RootKind::Vault,
        }
    }

    pub(crate) fn id(&self) -> RootId {
        let mut id = [0; 16];
        match self {
            Root::Key { key, .. } => {
                let tag: [u8; MAC_BYTES] = cipher::mac(key, b"mainstem root id v1");
                id.copy_from_slice(&tag[..16]);
            }
            // The vault's address may change, its key does not; whether it is the right one shows
            // when the ring key opens.
            Root::Vault(vault) => {
                let name = format!("mainstem vault root v1\0{}\0{}", vault.mount, vault.key);
                let hash = digest::digest(&digest::SHA256, name.as_bytes());
                id.copy_from_slice(&hash.as_ref()[..16]);
            }
        }
        RootId(id)
    }

    /// Wraps a ring key into what the ring says of its root. Waits for the vault, if it is one.
    pub(crate) fn wrap(&self, ring_key: &Secret, rng: &dyn Rng) -> Result<RootHeader, KeysError> {
        let id = self.id();
        let (derivation, wrapped) = match self {
            Root::Key { key, derivation, .. } => {
                let purpose = Purpose::Ring { root: &id.0 };
                let sealed: [u8; SEALED_KEY_BYTES] =
                    cipher::seal(key, purpose, ring_key.bytes(), rng);
                (derivation.clone(), sealed.to_vec())
            }
            Root::Vault(vault) => (None, vault.encrypt(ring_key)?.into_bytes()),
        };
        Ok(RootHeader { kind: self.kind(), id, derivation, wrapped })
    }

    /// `None`: the wrapped key was changed, or is another root's. Waits for the vault.
    pub(crate) fn unwrap(&self, header: &RootHeader) -> Result<Option<Secret>, KeysError> {
        match self {
            Root::Key { key, .. } => {
                let purpose = Purpose::Ring { root: &self.id().0 };
                Ok(cipher::open_key(key, purpose, &header.wrapped))
            }
            Root::Vault(vault) => match std::str::from_utf8(&header.wrapped) {
                Ok(text) => vault.decrypt(text).map(Some),
                Err(_) => Ok(None),
            },
        }
    }
}
