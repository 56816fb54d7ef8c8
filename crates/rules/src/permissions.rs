//! Permissions of the admin API, the built-in roles made of them, and the places where they count.
//! Who may do what with them is asked in `rights`.

use types::{ProjectId, TenantId};

/// Where something is done, or where a role counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    Installation,
    Tenant(TenantId),
    Project(TenantId, ProjectId),
}

impl Place {
    /// Whether a role given here counts there.
    pub fn covers(self, there: Place) -> bool {
        match (self, there) {
            (Place::Installation, _) => true,
            (Place::Tenant(tenant), Place::Tenant(other) | Place::Project(other, _)) => {
                tenant == other
            }
            (here @ Place::Project(..), there) => here == there,
            (Place::Tenant(_), Place::Installation) => false,
        }
    }

    /// `None`: the installation.
    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Place::Installation => None,
            Place::Tenant(tenant) | Place::Project(tenant, _) => Some(tenant),
        }
    }

    pub fn project(self) -> Option<ProjectId> {
        match self {
            Place::Project(_, project) => Some(project),
            Place::Installation | Place::Tenant(_) => None,
        }
    }
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// One thing that may be allowed or not. Each request of the admin API needs exactly one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Permission { $($(#[doc = $doc])+ $variant,)+ }

        impl Permission {
            pub const ALL: &'static [Permission] = &[$(Permission::$variant,)+];

            /// As roles and the reference write it.
            pub fn name(self) -> &'static str {
                match self { $(Permission::$variant => $name,)+ }
            }

            /// One sentence for the reference.
            pub fn meaning(self) -> &'static str {
                match self { $(Permission::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

permissions! {
    /// See tenants.
    TenantsRead = "tenants:read";
    /// Create, change, suspend and resume tenants.
    TenantsWrite = "tenants:write";
    /// Delete tenants.
    TenantsDelete = "tenants:delete";
    /// See projects and their limits.
    ProjectsRead = "projects:read";
    /// Create, change and delete projects.
    ProjectsWrite = "projects:write";
    /// See API keys, without their secrets.
    KeysRead = "keys:read";
    /// Create, rotate and revoke API keys.
    KeysWrite = "keys:write";
    /// See signing keys and token settings.
    TokensRead = "tokens:read";
    /// Change signing keys and token settings.
    TokensWrite = "tokens:write";
    /// See access lists and their versions, and have them explained.
    AccessRead = "acl:read";
    /// Change access lists.
    AccessWrite = "acl:write";
    /// See topics and schemas.
    TopicsRead = "topics:read";
    /// Create, change and delete topics.
    TopicsWrite = "topics:write";
    /// Read the records of topics in bulk.
    RecordsExport = "records:export";
    /// Write records into topics in bulk.
    RecordsImport = "records:import";
    /// See webhooks and what they delivered.
    WebhooksRead = "webhooks:read";
    /// Create, change, test and delete webhooks; replay and purge their dead letters.
    WebhooksWrite = "webhooks:write";
    /// See who is connected.
    ConnectionsRead = "connections:read";
    /// Close connections and revoke principals.
    ConnectionsWrite = "connections:write";
    /// See usage.
    UsageRead = "usage:read";
    /// See plans, limits, prices and invoices.
    BillingRead = "billing:read";
    /// Change plans, limits, prices and how tenants pay.
    BillingWrite = "billing:write";
    /// See the audit trail.
    AuditRead = "audit:read";
    /// See acts that wait for a second person, and which acts do.
    ApprovalsRead = "approvals:read";
    /// Say which acts wait for a second person.
    ApprovalsWrite = "approvals:write";
    /// Approve and refuse what others ask for and one may do oneself.
    ApprovalsDecide = "approvals:decide";
    /// See alert rules, what fires and who is told.
    AlertsRead = "alerts:read";
    /// Change alert rules and who is told, and silence alerts.
    AlertsWrite = "alerts:write";
    /// See users, their roles and sessions.
    UsersRead = "users:read";
    /// Invite, disable and delete users, and end their sessions.
    UsersWrite = "users:write";
    /// See roles and permissions.
    RolesRead = "roles:read";
    /// Give and take roles; make, change and delete them.
    RolesWrite = "roles:write";
    /// See the providers that people sign in with, never their secrets.
    ProvidersRead = "providers:read";
    /// Set up, change, test and delete providers that people sign in with.
    ProvidersWrite = "providers:write";
    /// See the configuration and its revisions.
    ConfigRead = "config:read";
    /// Change the configuration.
    ConfigWrite = "config:write";
    /// See the state, the figures and the log of the installation's processes.
    TelemetryRead = "telemetry:read";
    /// See backups.
    BackupsRead = "backups:read";
    /// Make and stop backups.
    BackupsWrite = "backups:write";
    /// See the keys of encryption at rest, never the keys themselves.
    EncryptionRead = "encryption:read";
    /// Rotate and import keys of encryption at rest.
    EncryptionWrite = "encryption:write";
    /// Export keys of encryption at rest, and destroy a tenant's.
    EncryptionShred = "encryption:shred";
    /// See what the security checks find, and what happens to the installation.
    SecurityRead = "security:read";
    /// Accept what the security checks find, until a day.
    SecurityWrite = "security:write";
}

const _: () = assert!(Permission::ALL.len() <= 64, "a set is 64 bits");

impl Permission {
    pub fn named(name: &str) -> Option<Permission> {
        Permission::ALL.iter().copied().find(|permission| permission.name() == name)
    }

    /// Changes nothing.
    pub fn is_reading(self) -> bool {
        self.name().ends_with(":read")
    }
}

/// Some of the permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PermissionSet(u64);

impl PermissionSet {
    pub const NONE: PermissionSet = PermissionSet(0);

    pub fn all() -> PermissionSet {
        Permission::ALL.iter().copied().collect()
    }

    pub fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    pub fn with(self, other: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 | other.0)
    }

    /// Whether nothing of `other` is missing here.
    pub fn contains(self, other: PermissionSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in both.
    pub fn within(self, most: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 & most.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(from: I) -> PermissionSet {
        PermissionSet(from.into_iter().fold(0, |set, permission| set | 1 << permission as u8))
    }
}

/// The roles that are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    Owner,
    Admin,
    Developer,
    Billing,
    Support,
}

impl BuiltIn {
    pub const ALL: &'static [BuiltIn] =
        &[BuiltIn::Owner, BuiltIn::Admin, BuiltIn::Developer, BuiltIn::Billing, BuiltIn::Support];

    pub fn name(self) -> &'static str {
        match self {
            BuiltIn::Owner => "owner",
            BuiltIn::Admin => "admin",
            BuiltIn::Developer => "developer",
            BuiltIn::Billing => "billing",
            BuiltIn::Support => "support",
        }
    }

    /// One sentence for people.
    pub fn meaning(self) -> &'static str {
        match self {
            BuiltIn::Owner => "Everything.",
            BuiltIn::Admin => "Everything but deleting tenants and destroying encryption keys.",
            BuiltIn::Developer => "Projects' keys, topics, webhooks and connections.",
            BuiltIn::Billing => "Usage, plans and invoices.",
            BuiltIn::Support => "Sees everything, changes nothing.",
        }
    }

    pub fn named(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.iter().copied().find(|role| role.name() == name)
    }

    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let all = || Permission::ALL.iter().copied();
        match self {
            BuiltIn::Owner => PermissionSet::all(),
            BuiltIn::Admin => {
                all().filter(|it| !matches!(it, P::TenantsDelete | P::EncryptionShred)).collect()
            }
            BuiltIn::Developer => [
                P::TenantsRead,
                P::ProjectsRead,
                P::KeysRead,
                P::KeysWrite,
                P::TokensRead,
                P::TokensWrite,
                P::AccessRead,
                P::TopicsRead,
                P::TopicsWrite,
                P::RecordsExport,
                P::RecordsImport,
                P::WebhooksRead,
                P::WebhooksWrite,
                P::ConnectionsRead,
                P::ConnectionsWrite,
                P::UsageRead,
                P::AuditRead,
            ]
            .into_iter()
            .collect(),
            BuiltIn::Billing => {
                [P::TenantsRead, P::ProjectsRead, P::UsageRead, P::BillingRead, P::BillingWrite]
                    .into_iter()
                    .collect()
            }
            BuiltIn::Support => all().filter(|permission| permission.is_reading()).collect(),
        }
    }
}

/// Where something is visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    Everywhere,
    /// In these places only, none of which covers another; none at all when empty.
    In(Vec<Place>),
}
