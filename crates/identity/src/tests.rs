//! Tests of identity. Where records matter they come from the real store, on SQLite; the directory
//! between them counts the questions and can be made to fail.

mod api_keys;
mod changes;
mod floods;
mod hidden;
mod key_properties;
mod key_sets;
mod operators;
mod revocations;
mod scram;
mod secrets;
mod signing_keys;
mod tables;
mod token_text;
mod tokens;

use crate::directory::{Answer, Directory};
use crate::{Authenticator, Environment, Secrets, Settings};
use port::{Credential, Identity, Peer, Refusal, RequestId, ShardId};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stdx::SystemRng;
use tenancy::{
    Actor, ApiKey, FoundKey, KeyMode, ListOwner, NewKey, NewProject, NewTenant, Options,
    RevocationMark, Tenancy, TenancyError, Verification,
};
use testkit::clock::ManualClock;
use tokio::runtime::Runtime;
use types::{AccessList, KeyId, Limits, ProjectId, Scopes, TenantId, TimestampMs};

/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;

/// The store behind a door that counts and can be shut.
struct Door {
    tenancy: Arc<Tenancy>,
    key_reads: AtomicUsize,
    project_reads: AtomicUsize,
    /// The versions after which revocations were asked for.
    revocations_after: parking_lot::Mutex<Vec<u64>>,
    is_shut: AtomicBool,
}

impl Door {
    fn pass(&self, count: &AtomicUsize) -> Result<(), TenancyError> {
        count.fetch_add(1, Ordering::SeqCst);
        match self.is_shut.load(Ordering::SeqCst) {
            true => Err(TenancyError::Unreachable("shut by the test".to_owned())),
            false => Ok(()),
        }
    }
}

impl Directory for Door {
    fn key<'a>(&'a self, lookup: &'a str) -> Answer<'a, Option<FoundKey>> {
        Box::pin(async move {
            self.pass(&self.key_reads)?;
            self.tenancy.find_key_by_prefix(lookup).await
        })
    }

    fn lookup(&self, key: KeyId) -> Answer<'_, Option<String>> {
        Directory::lookup(&*self.tenancy, key)
    }

    fn keep_verifier(&self, tenant: TenantId, key: KeyId, verifier: Vec<u8>) -> Answer<'_, bool> {
        Directory::keep_verifier(&*self.tenancy, tenant, key, verifier)
    }

    fn project(&self, project: ProjectId) -> Answer<'_, Option<Verification>> {
        Box::pin(async move {
            self.pass(&self.project_reads)?;
            self.tenancy.find_verification(project).await
        })
    }

    fn revocations(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: u64,
    ) -> Answer<'_, Vec<RevocationMark>> {
        self.revocations_after.lock().push(after);
        Directory::revocations(&*self.tenancy, tenant, project, after)
    }

    fn list(&self, owner: ListOwner, version: u64) -> Answer<'_, Option<AccessList>> {
        Directory::list(&*self.tenancy, owner, version)
    }
}

/// A store, an authenticator on it, a clock to turn, and one tenant with one project.
struct World {
    door: Arc<Door>,
    clock: Arc<ManualClock>,
    authenticator: Authenticator,
    secrets: Secrets,
    tenant: TenantId,
    project: ProjectId,
    _dir: tempfile::TempDir,
}

impl World {
    async fn open(settings: Settings) -> World {
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        let clock = ManualClock::shared(START_MS);
        let options = Options::sqlite(&dir.path().join("mainstem.db"));
        let tenancy = Tenancy::connect(&options, clock.clone(), SystemRng::shared()).await;
        let tenancy = Arc::new(tenancy.expect("a fresh database"));
        let new = NewTenant { name: "tenant".to_owned(), ..NewTenant::default() };
        let tenant = tenancy.create_tenant(new, &by()).await.expect("a tenant").id;
        let new = NewProject { name: "project".to_owned(), limits: Limits::default() };
        let project = tenancy.create_project(tenant, new, &by()).await.expect("a project").id;
        let door = Arc::new(Door {
            tenancy,
            key_reads: AtomicUsize::new(0),
            project_reads: AtomicUsize::new(0),
            revocations_after: parking_lot::Mutex::default(),
            is_shut: AtomicBool::new(false),
        });
        let secrets = Secrets::from_bytes([7; 32]);
        let (clock_too, rng) = (clock.clone(), SystemRng::shared());
        let authenticator =
            Authenticator::new(door.clone(), &secrets, settings, clock_too, rng).unwrap();
        World { door, clock, authenticator, secrets, tenant, project, _dir: dir }
    }

    fn store(&self) -> &Tenancy {
        &self.door.tenancy
    }

    fn reads(&self) -> usize {
        self.door.key_reads.load(Ordering::SeqCst) + self.door.project_reads.load(Ordering::SeqCst)
    }

    /// What the store keeps of a new key, and the text to present.
    fn key_parts(&self, scopes: Scopes, expires_at: Option<TimestampMs>) -> (SecretString, NewKey) {
        let made = self.authenticator.new_api_key(Environment::Live);
        let new = NewKey {
            name: "key".to_owned(),
            mode: KeyMode::Live,
            prefix: made.lookup.clone(),
            hash: made.hash.to_vec(),
            scopes,
            grants: None,
            rate_per_second: None,
            expires_at,
            verifier: None,
        };
        (made.text, new)
    }

    async fn new_key(&self, scopes: Scopes) -> (SecretString, ApiKey) {
        let (text, new) = self.key_parts(scopes, None);
        let key = self.store().create_key(self.tenant, self.project, new, &by()).await;
        (text, key.expect("a key"))
    }

    async fn try_key(&self, text: &SecretString) -> Result<Identity, Refusal> {
        self.try_key_text(text.expose_secret()).await
    }

    async fn try_key_text(&self, text: &str) -> Result<Identity, Refusal> {
        let credential = Credential::ApiKey(text.to_owned());
        self.authenticator.authenticate(&peer(), &credential).await
    }

    async fn try_token(&self, text: &str) -> Result<Identity, Refusal> {
        let credential = Credential::Token(text.to_owned());
        self.authenticator.authenticate(&peer(), &credential).await
    }
}

/// A world for a whole property: making one per case would mostly test the disk.
struct Stage {
    runtime: Runtime,
    world: World,
}

impl Stage {
    fn new(settings: Settings) -> Stage {
        let runtime = Runtime::new().expect("a runtime");
        let world = runtime.block_on(World::open(settings));
        Stage { runtime, world }
    }

    fn run<T>(&self, test: impl AsyncFnOnce(&World) -> T) -> T {
        self.runtime.block_on(test(&self.world))
    }
}

fn by() -> Actor {
    Actor::operator()
}

fn peer() -> Peer {
    Peer {
        address: ([127, 0, 0, 1], 4_000).into(),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId("test".into()),
    }
}

/// Trusts what it read for as long as the clock stands; only changes it is told of count earlier.
fn patient() -> Settings {
    Settings { fresh_ms_max: 3_600_000, ..Settings::default() }
}
