//! How a test sets the stage: tenants, keys, topics, limits, and refusals on demand.

use super::MemoryHub;
use super::state::{Project, Secret, Window};
use super::topics::Topic;
use port::{Claims, Code, Identity, Liveness, Refusal};
use std::sync::Arc;
use types::{
    Grant, KeyId, Limits, Offset, Partition, PrincipalId, ProjectId, Scope, Scopes, TenantId,
    TimestampMs, TopicConfig, TopicName,
};

/// A project and the tenant it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub tenant: TenantId,
    pub project: ProjectId,
}

/// The calls a test can make fail; see `MemoryHub::refuse_next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Authenticate,
    Open,
    Append,
    Read,
    Follow,
    Presence,
    Topics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    #[default]
    Free,
    /// Appends answer `STORAGE_FULL`, reads go on.
    Full,
    /// Appends answer `STORAGE_FAILED`, reads go on.
    Failed,
}

/// What a credential may do. The default may do everything with events for ever.
#[derive(Debug, Clone)]
pub struct KeySpec {
    pub scopes: Scopes,
    pub grants: Option<Arc<[Grant]>>,
    pub expires_at: Option<TimestampMs>,
    pub rate_per_second: Option<u32>,
    pub kind: SecretKind,
}

/// How the secret looks: an API key, or a token as clients get them signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    ApiKey,
    Token,
}

impl Default for KeySpec {
    fn default() -> KeySpec {
        KeySpec {
            scopes: [Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect(),
            grants: None,
            expires_at: None,
            rate_per_second: None,
            kind: SecretKind::ApiKey,
        }
    }
}

impl MemoryHub {
    /// A new tenant with one project, bounded by `limits`.
    pub fn place(&self, limits: Limits) -> Place {
        let tenant = TenantId(fresh_uuid());
        self.sibling(tenant, limits)
    }

    /// One more project of a tenant.
    pub fn sibling(&self, tenant: TenantId, limits: Limits) -> Place {
        let place = Place { tenant, project: ProjectId(fresh_uuid()) };
        self.state().projects.insert(place.project, Project::new(place, limits));
        place
    }

    /// A key that may publish and subscribe; answers its secret.
    pub fn key(&self, place: Place) -> String {
        self.key_with(place, KeySpec::default())
    }

    /// A key with every scope; answers its secret.
    pub fn admin_key(&self, place: Place) -> String {
        self.key_with(place, KeySpec { scopes: Scopes::all(), ..KeySpec::default() })
    }

    /// A credential as specified; answers its secret.
    pub fn key_with(&self, place: Place, spec: KeySpec) -> String {
        let id = KeyId(fresh_uuid());
        let (secret, principal, key) = match spec.kind {
            SecretKind::ApiKey => {
                (format!("ms_test_{}", id.0.simple()), format!("key:{}", id.0), Some(id))
            }
            SecretKind::Token => {
                (format!("token.{}.test", id.0.simple()), format!("jwt:{}", id.0), None)
            }
        };
        let claims = Claims {
            tenant: place.tenant,
            project: place.project,
            principal: PrincipalId(principal.into()),
            scopes: spec.scopes,
            grants: spec.grants,
            key,
            issued_at: None,
            expires_at: spec.expires_at,
            rate_per_second: spec.rate_per_second,
            origin: None,
            marks: None,
            attributes: None,
        };
        let liveness = Arc::new(Liveness::default());
        let identity = Identity::mint(claims, Arc::clone(&liveness));
        let requests = Window::default();
        self.state().keys.insert(secret.clone(), Secret { identity, liveness, requests });
        secret
    }

    /// Whom a secret made by `key_with` stands for, without counting a request.
    pub fn identity(&self, secret: &str) -> Identity {
        let state = self.state();
        state.keys.get(secret).expect("the secret was made by this hub").identity.clone()
    }

    /// Creates or changes a topic without asking for a scope.
    pub fn topic(&self, place: Place, name: &str, config: TopicConfig) -> TopicName {
        let name = TopicName::parse(name).expect("tests use well-formed topic names");
        let created_at = self.now_ms();
        let mut state = self.state();
        state.topics_made += 1;
        let id = types::TopicId(state.topics_made);
        let mint = Arc::clone(&self.0.mint);
        let project = state.project(place.project).expect("the place was made by this hub");
        match project.topics.get_mut(&name) {
            Some(topic) => topic.config = config,
            None => {
                let topic = Topic::new(place.project, &name, id, config, created_at, mint);
                project.topics.insert(name.clone(), topic);
            }
        }
        name
    }

    pub fn set_limits(&self, place: Place, limits: Limits) {
        let mut state = self.state();
        state.project(place.project).expect("the place was made by this hub").limits = limits;
    }

    pub fn set_storage(&self, storage: Storage) {
        self.state().storage = storage;
    }

    /// The next such call of anybody is refused so; several queue up.
    pub fn refuse_next(&self, call: Call, refusal: Refusal) {
        self.state().refusals.entry(call).or_default().push_back(refusal);
    }

    /// Ends a credential and every connection that stands on it.
    pub fn revoke(&self, secret: &str) {
        let found = self.state().keys.remove(secret);
        found.expect("the secret was made by this hub").liveness.revoke();
        self.close_where(
            |connection| connection.who.is_revoked(),
            &Refusal::new(Code::InvalidApiKey, "the credential was revoked"),
        );
    }

    /// Every call of the tenant is refused from now on and its connections end.
    pub fn suspend(&self, tenant: TenantId) {
        self.state().suspended.insert(tenant);
        self.close_where(
            |connection| connection.who.tenant() == tenant,
            &Refusal::new(Code::TenantSuspended, "the tenant is suspended"),
        );
    }

    pub fn resume(&self, tenant: TenantId) {
        self.state().suspended.remove(&tenant);
    }

    /// Removes the records before `start`, as retention does.
    pub fn trim(&self, place: Place, topic: &TopicName, partition: Partition, start: Offset) {
        let shards = {
            let mut state = self.state();
            let project = state.project(place.project).expect("the place was made by this hub");
            let topic = project.topics.get_mut(topic).expect("the topic exists");
            topic.trim(partition, start);
            state.touch(place.project)
        };
        self.wake(&shards);
    }

    /// Connections open at this moment.
    pub fn connection_count(&self, place: Place) -> usize {
        let state = self.state();
        state.connections.values().filter(|c| c.who.project() == place.project).count()
    }

    /// Subscriptions open at this moment.
    pub fn follower_count(&self, place: Place) -> usize {
        let state = self.state();
        state.followers.values().filter(|f| f.who.project() == place.project).count()
    }

    /// How often a reader was paused because its connection was full.
    pub fn demotion_count(&self) -> u64 {
        self.state().demotions
    }

    /// Append calls that reached the log.
    pub fn append_count(&self) -> u64 {
        self.state().appends
    }
}

/// Unique in the process and over time: what identifiers need in tests.
fn fresh_uuid() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}
