//! The key ring as the API shows it, and its errors as refusals. Never a key.

use keys::{Imported, KeysError, RootRotation, Status, TenantRotation, TenantState, TenantStatus};
use port::{Code, Refusal};
use serde::Serialize;
use types::{TenantId, TimestampMs};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Keyring)]
pub(super) struct KeyringView {
    root: RootView,
    /// Rises with every change of the ring.
    sequence: u64,
    live_count: usize,
    shredded_count: usize,
    /// Tenants whose key is being rotated.
    rotating_count: usize,
    pub(super) tenants: Vec<TenantKeysView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RootKey)]
struct RootView {
    /// `file`, `passphrase`, `environment` or `vault`.
    source: &'static str,
    /// Where it is.
    place: String,
    /// Names the key without telling anything of it.
    id: String,
    /// The ring is under `encryption.next`: time to move it to `encryption.root`.
    is_next: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TenantKeys)]
pub(super) struct TenantKeysView {
    #[schema(value_type = String)]
    pub(super) id: TenantId,
    /// `null` when the tenant was deleted, and for the node's own key.
    pub(super) name: Option<String>,
    /// `live` or `shredded`.
    pub(super) state: &'static str,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    shredded_at: Option<TimestampMs>,
    /// The version that wraps new data keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u32>,
    is_rotating: bool,
    /// Data keys that a rotation wrapped anew, beside the extents they are for.
    rewrapped_count: usize,
    versions: Vec<VersionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TenantKeyVersion)]
struct VersionView {
    version: u32,
    /// Milliseconds since 1970.
    made_at: TimestampMs,
    /// Data keys of the log that are under it.
    data_keys: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RootRotation)]
pub(super) struct RootRotationView {
    from_id: String,
    to_id: String,
    /// `file`, `passphrase`, `environment` or `vault`.
    source: &'static str,
    /// What to do next.
    advice: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TenantKeyRotation)]
pub(super) struct TenantRotationView {
    tenant: String,
    from_version: u32,
    to_version: u32,
    /// Data keys that were wrapped anew.
    rewrapped_count: usize,
    /// Data keys that did not open before either.
    unreadable_count: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShreddedTenant)]
pub(super) struct ShreddedView {
    pub(super) tenant: String,
    /// Milliseconds since 1970.
    pub(super) shredded_at: TimestampMs,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyringImport)]
pub(super) struct ImportView {
    tenants_added: usize,
    versions_added: usize,
    data_keys_added: usize,
    /// Tenants of the file that stay shredded.
    shredded_kept: usize,
    /// Tenants that are shredded now because the file says so.
    shredded_added: usize,
    /// Keys that differ under one version; the ring's own stay.
    conflicts: usize,
}

impl KeyringView {
    pub(super) fn of(status: Status, next_cursor: Option<String>) -> KeyringView {
        KeyringView {
            root: RootView {
                source: status.root_kind.name(),
                place: status.root_place,
                id: status.root_id.to_string(),
                is_next: status.is_next,
            },
            sequence: status.sequence,
            live_count: status.live_count,
            shredded_count: status.shredded_count,
            rotating_count: status.rotating_count,
            tenants: status.tenants.into_iter().map(TenantKeysView::from).collect(),
            next_cursor,
        }
    }
}

impl From<TenantStatus> for TenantKeysView {
    fn from(status: TenantStatus) -> TenantKeysView {
        let mut view = TenantKeysView {
            id: status.tenant,
            name: None,
            state: "live",
            shredded_at: None,
            current_version: None,
            is_rotating: false,
            rewrapped_count: 0,
            versions: Vec::new(),
            hint: None,
        };
        match status.state {
            TenantState::Shredded { at } => {
                view.state = "shredded";
                view.shredded_at = Some(at);
            }
            TenantState::Live { current, is_rotating, versions, rewrapped } => {
                view.current_version = Some(current);
                view.is_rotating = is_rotating;
                view.rewrapped_count = rewrapped;
                let versions = versions.into_iter().map(|found| VersionView {
                    version: found.version,
                    made_at: found.made_at,
                    data_keys: found.data_keys,
                });
                view.versions = versions.collect();
            }
        }
        view
    }
}

impl From<RootRotation> for RootRotationView {
    fn from(done: RootRotation) -> RootRotationView {
        RootRotationView {
            from_id: done.from.to_string(),
            to_id: done.to.to_string(),
            source: done.kind.name(),
            advice: done.advice,
        }
    }
}

impl TenantRotationView {
    pub(super) fn of(tenant: TenantId, done: TenantRotation) -> TenantRotationView {
        TenantRotationView {
            tenant: tenant.to_string(),
            from_version: done.from,
            to_version: done.to,
            rewrapped_count: done.rewrapped,
            unreadable_count: done.unreadable,
        }
    }
}

impl From<Imported> for ImportView {
    fn from(done: Imported) -> ImportView {
        ImportView {
            tenants_added: done.tenants_added,
            versions_added: done.versions_added,
            data_keys_added: done.data_keys_added,
            shredded_kept: done.shredded_kept,
            shredded_added: done.shredded_added,
            conflicts: done.conflicts,
        }
    }
}

/// What an operator can mend is told as it is; the rest is a fault of the server, in its log.
pub(super) fn refusal(error: KeysError) -> Refusal {
    let message = error.to_string();
    match error {
        KeysError::Unknown(_) => Refusal::new(Code::NotFound, message)
            .field("tenant")
            .hint("`GET /v1/keys-at-rest` lists the tenants that have keys"),
        KeysError::Shredded(_) | KeysError::Node => {
            Refusal::new(Code::Conflict, message).field("tenant")
        }
        KeysError::NothingNext(_) | KeysError::AlreadyNext => {
            Refusal::new(Code::Conflict, message).field("encryption.next")
        }
        KeysError::Setting { ref key, .. } => {
            Refusal::new(Code::Conflict, message).field(format!("encryption.{key}"))
        }
        KeysError::RootMissing { .. }
        | KeysError::RootLength(_)
        | KeysError::Permissions { .. } => {
            Refusal::new(Code::Conflict, message).field("encryption")
        }
        KeysError::Export(_) => Refusal::new(Code::InvalidRequest, message).field("export"),
        KeysError::Vault { .. } => Refusal::new(Code::NetworkError, message)
            .hint("nothing was changed; ask again when the vault answers"),
        KeysError::Full(_) => Refusal::new(Code::Conflict, message),
        KeysError::Io { ref cause, .. } if cause.kind() == std::io::ErrorKind::StorageFull => {
            Refusal::new(Code::StorageFull, message).hint("free space and ask again")
        }
        other => Refusal::internal(&other),
    }
}
