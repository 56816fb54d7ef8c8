//! The keys of encryption at rest: a root key wraps the ring key, the ring key wraps a key per
//! tenant, and that wraps the data keys which seal frames, one per tenant and extent. Held in one
//! authenticated file, replaced atomically, so that at every moment of a rotation either the old
//! keys or the new ones open everything, and a shredded tenant is gone for good.
//! This crate must not know what a frame, a topic or a request is: the store asks it for data keys
//! and says which ones it holds, operators ask it for changes.
#![forbid(unsafe_code)]

mod cipher;
mod error;
mod fields;
mod folder;
mod keyring;
mod opened;
mod recent;
mod rewrapped;
mod ring;
mod root;
mod rotation;
mod secret;
mod settings;
mod shred;
mod start;
mod status;
mod transfer;

pub use error::KeysError;
pub use keyring::{Keyring, NODE, SealedLog, Visit, World};
pub use rewrapped::Table as RewrappedTable;
pub use ring::{Ring, RingFault};
pub use root::{RootId, RootKind, RootSource, Vault};
pub use rotation::{RootRotation, TenantRotation};
pub use settings::{RootSettings, Settings, SourceKind, Sources, VaultSettings};
pub use status::{Status, TenantState, TenantStatus, VersionStatus};
pub use transfer::Imported;

#[cfg(test)]
mod tests;
