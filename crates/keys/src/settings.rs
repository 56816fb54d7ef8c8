//! What an operator may set of encryption at rest. The comments on the fields are the manual.
//! Secrets themselves are never part of it: it names where they are.

use crate::error::KeysError;
use crate::root::{RootSource, Vault, file};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of a file that holds a passphrase, a token or a certificate.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Looks up a variable of the environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seals records, keys and headers before they reach the disk. A data directory that has a key
    /// ring cannot go back to `false`.
    pub enabled: bool,
    /// The root key, which opens the key ring in `<data_dir>/keys/ring`. Losing it is losing every
    /// record.
    pub root: RootSettings,
    /// The root key to go over to with `mainstem keys-at-rest rotate-root`. Once that is done it
    /// becomes `root` here, and `next` goes.
    pub next: Option<RootSettings>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RootSettings {
    /// Where the root key comes from: `file`, `passphrase`, `environment` or `vault`.
    pub source: SourceKind,
    /// For `file`: 32 random bytes, readable by their owner only; absent means
    /// `<data_dir>/keys/root.key`. Made at the first start. Better kept on another volume than the
    /// data.
    pub file: Option<PathBuf>,
    /// For `passphrase`: the variable of the environment that holds it, 12 bytes or more.
    pub passphrase_env: String,
    /// For `passphrase`: a file that holds it, instead of a variable.
    pub passphrase_file: Option<PathBuf>,
    /// For `environment`: the variable that holds 32 random bytes, as 64 hexadecimal digits or
    /// base64.
    pub secret_env: String,
    pub vault: VaultSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    File,
    Passphrase,
    Environment,
    Vault,
}

/// A key in HashiCorp Vault's transit engine. The token needs `update` on
/// `<mount>/encrypt/<key>` and `<mount>/decrypt/<key>`, nothing else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaultSettings {
    /// `https://vault.example.com:8200`
    pub address: String,
    /// Where the transit engine is mounted.
    pub mount: String,
    /// The key's name there.
    pub key: String,
    /// For Vault Enterprise.
    pub namespace: Option<String>,
    /// The variable of the environment that holds the token.
    pub token_env: String,
    /// A file that holds the token, instead of a variable.
    pub token_file: Option<PathBuf>,
    /// PEM file of the authority that signed the vault's certificate; absent trusts the system's.
    pub ca_file: Option<PathBuf>,
    /// How long the vault may take to answer.
    pub timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { enabled: true, root: RootSettings::default(), next: None }
    }
}

impl Default for RootSettings {
    fn default() -> RootSettings {
        RootSettings {
            source: SourceKind::File,
            file: None,
            passphrase_env: "MAINSTEM_PASSPHRASE".to_owned(),
            passphrase_file: None,
            secret_env: "MAINSTEM_ROOT_KEY".to_owned(),
            vault: VaultSettings::default(),
        }
    }
}

impl Default for VaultSettings {
    fn default() -> VaultSettings {
        VaultSettings {
            address: "https://127.0.0.1:8200".to_owned(),
            mount: "transit".to_owned(),
            key: "mainstem".to_owned(),
            namespace: None,
            token_env: "VAULT_TOKEN".to_owned(),
            token_file: None,
            ca_file: None,
            timeout_ms: 10_000,
        }
    }
}

/// The root keys a ring may be under, found but not read yet.
#[derive(Debug, Clone)]
pub struct Sources {
    pub root: RootSource,
    pub next: Option<RootSource>,
}

impl Settings {
    /// Whether the settings agree with each other; says which one does not. Reads nothing.
    pub fn check(&self) -> Result<(), KeysError> {
        self.root.check("root")?;
        self.next.as_ref().map_or(Ok(()), |next| next.check("next"))
    }

    /// Reads passphrases and tokens. Blocking; meant for the start.
    pub fn sources(&self, data_dir: &Path, variables: Variables<'_>) -> Result<Sources, KeysError> {
        let root = self.root.source("root", data_dir, variables)?;
        let next = self.next.as_ref().map(|next| next.source("next", data_dir, variables));
        let next = next.transpose()?;
        let is_taken = match (&root, &next) {
            (RootSource::File(root), Some(RootSource::File(next))) => {
                root == next || file::staged(root) == *next || file::staged(next) == *root
            }
            _ => false,
        };
        if is_taken {
            let message = "it is the file of `encryption.root`, or one that a rotation of it \
                           uses; a file is rotated in place, without a `next`";
            return Err(KeysError::setting("next.file", message));
        }
        Ok(Sources { root, next })
    }
}

impl RootSettings {
    fn check(&self, key: &str) -> Result<(), KeysError> {
        let vault = &self.vault;
        if self.source != SourceKind::Vault {
            return Ok(());
        }
        if !vault.address.starts_with("https://") && !vault.address.starts_with("http://") {
            let message = "an address begins with https:// (or http://, for a vault on loopback)";
            return Err(KeysError::setting(&format!("{key}.vault.address"), message));
        }
        let is_name = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            !text.is_empty() && text.chars().all(plain)
        };
        for (name, text) in [("mount", &vault.mount), ("key", &vault.key)] {
            if !is_name(text) {
                let message = "letters, digits and - _ . / only";
                return Err(KeysError::setting(&format!("{key}.vault.{name}"), message));
            }
        }
        if !(1..=120_000).contains(&vault.timeout_ms) {
            let message = "1 to 120000 milliseconds";
            return Err(KeysError::setting(&format!("{key}.vault.timeout_ms"), message));
        }
        Ok(())
    }

    fn source(
        &self,
        key: &str,
        data_dir: &Path,
        variables: Variables<'_>,
    ) -> Result<RootSource, KeysError> {
        self.check(key)?;
        match self.source {
            SourceKind::File => {
                let own = || data_dir.join("keys").join("root.key");
                Ok(RootSource::File(self.file.clone().unwrap_or_else(own)))
            }
            SourceKind::Passphrase => {
                let place = Place { key, name: "passphrase", variables };
                let file = self.passphrase_file.as_deref();
                place.read(file, &self.passphrase_env).map(RootSource::Passphrase)
            }
            SourceKind::Environment => {
                let place = Place { key, name: "secret", variables };
                place.read(None, &self.secret_env).map(RootSource::Environment)
            }
            SourceKind::Vault => self.vault.source(key, variables).map(RootSource::Vault),
        }
    }
}

impl VaultSettings {
    fn source(&self, key: &str, variables: Variables<'_>) -> Result<Vault, KeysError> {
        let authority = self.ca_file.as_deref().map(|path| {
            read(path).map_err(|cause| KeysError::setting(&format!("{key}.vault.ca_file"), cause))
        });
        let inside = format!("{key}.vault");
        let place = Place { key: &inside, name: "token", variables };
        Ok(Vault {
            address: self.address.clone(),
            mount: self.mount.clone(),
            key: self.key.clone(),
            namespace: self.namespace.clone(),
            token: place.read(self.token_file.as_deref(), &self.token_env)?,
            authority: authority.transpose()?.map(String::into_bytes),
            timeout: Duration::from_millis(self.timeout_ms),
        })
    }
}

/// Where something secret is said to be.
struct Place<'a> {
    key: &'a str,
    name: &'a str,
    variables: Variables<'a>,
}

impl Place<'_> {
    fn read(&self, file: Option<&Path>, variable: &str) -> Result<SecretString, KeysError> {
        let Place { key, name, variables } = self;
        let text = match file {
            Some(path) => read(path)
                .map_err(|cause| KeysError::setting(&format!("{key}.{name}_file"), cause))?,
            None => variables(variable).ok_or_else(|| {
                let message = format!("the variable {variable} is not set in the environment");
                KeysError::setting(&format!("{key}.{name}_env"), message)
            })?,
        };
        if text.trim().is_empty() {
            let kind = if file.is_some() { "file" } else { "env" };
            return Err(KeysError::setting(&format!("{key}.{name}_{kind}"), "it is empty"));
        }
        Ok(text.trim().to_owned().into())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let wrong = |cause: String| format!("{}: {cause}", path.display());
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong("it is too long".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}
