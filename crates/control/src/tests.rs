//! The admin API through its real router, on SQLite: `Rig::call` sends a request as the operator
//! and answers what came back.

mod acl;
mod alerts;
mod approvals;
mod audit;
mod device;
mod gate;
mod groups;
mod input;
mod keys;
mod keys_at_rest;
mod live;
mod node;
mod outbox;
mod own;
mod passkeys;
mod people;
mod permissions;
mod plans;
mod promise;
mod properties;
mod provider_lies;
mod provider_sign_in;
mod providers;
mod records;
mod repeat;
mod report;
mod rig_consumers;
mod rig_groups;
mod rig_hub;
mod rig_provider;
mod role_conditions;
mod security;
mod signing;
mod telemetry;
mod token_revocations;
mod topics;
mod webhooks;

use crate::{
    About, Applying, Checked, ConfigProblem, ConfigState, ConfigWhen, Configuration, Control,
    Logbook, Process, Proposal, RateSettings, Rates, Telling, differences,
};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use identity::{Authenticator, OperatorTokens, PeopleParts, Secrets, Settings};
use parking_lot::Mutex;
use port::{
    Change, ConnectionFilter, ConnectionId, ConnectionState, Hub, Live, Peer, RequestId, ShardId,
    Usage,
};
use rig_hub::RigHub;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::{Options, Tenancy};
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use tower::ServiceExt;
use types::{ProjectId, TenantId};

const TOKEN: &str = "operator-token-of-this-very-test";
/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Connections by hand, and the news that the API sent.
#[derive(Default)]
struct RigLive {
    open: Mutex<Vec<ConnectionState>>,
    changes: Mutex<Vec<Change>>,
    told: tokio::sync::Notify,
    /// Handed to who asks next.
    months: Mutex<Vec<(TenantId, Usage)>>,
    /// What the log says of a range, by its first offset.
    counted: Mutex<std::collections::HashMap<u64, port::Recount>>,
}

impl Live for RigLive {
    fn connections(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState> {
        let open = self.open.lock();
        let wanted = open.iter().filter(|open| {
            filter.tenant.is_none_or(|tenant| open.tenant == tenant)
                && filter.project.is_none_or(|project| open.project == project)
                && filter.protocol.as_ref().is_none_or(|name| open.protocol == name)
                && filter.after.is_none_or(|after| open.id > after)
        });
        wanted.take(limit).cloned().collect()
    }

    fn close(&self, connection: ConnectionId) -> bool {
        let mut open = self.open.lock();
        let before = open.len();
        open.retain(|open| open.id != connection);
        open.len() < before
    }

    fn changed(&self, change: Change) {
        self.changes.lock().push(change);
        self.told.notify_one();
    }

    fn months(&self) -> Vec<(TenantId, Usage)> {
        std::mem::take(&mut *self.months.lock())
    }

    fn recount(&self, ranges: Vec<types::LogRange>) -> port::Recounting<'_> {
        let gone = port::Recount::Partly { records: 0, bytes: 0 };
        let counted = self.counted.lock();
        let all = ranges.iter().map(|range| counted.get(&range.from).copied().unwrap_or(gone));
        let all = all.collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        Vec::new()
    }

    fn drain(&self) {}
}

/// A configuration with one setting, `level`, which must be a number.
struct RigConfiguration(Mutex<Value>);

impl Configuration for RigConfiguration {
    fn state(&self) -> ConfigState {
        let config = self.0.lock().clone();
        ConfigState {
            in_force: config.clone(),
            text: config.to_string(),
            configured: config,
            origins: Vec::new(),
            pending: Vec::new(),
        }
    }

    fn check(&self, proposal: Proposal<'_>) -> Checked {
        let config = match proposal {
            Proposal::Value(config) => config.clone(),
            Proposal::Text(text, _) => serde_json::from_str(text).unwrap_or_default(),
        };
        let problem = |key: &str| ConfigProblem {
            key: key.to_owned(),
            line: None,
            message: "not a number".to_owned(),
            suggestion: None,
        };
        let problems = match config["level"].is_u64() {
            true => Vec::new(),
            false => vec![problem("level")],
        };
        let differences = differences(&self.0.lock(), &config);
        Checked { config, problems, differences, warnings: Vec::new() }
    }

    fn apply<'a>(&'a self, wanted: &'a Value, _: ConfigWhen) -> Applying<'a> {
        let found = differences(&self.0.lock(), wanted);
        *self.0.lock() = wanted.clone();
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// A process with one figure and one secret in its state.
struct RigProcess;

impl Process for RigProcess {
    fn about(&self) -> About {
        About {
            version: "1.2.3".to_owned(),
            platform: "test".to_owned(),
            process_id: 7,
            started_at: START_MS,
            processes: 1,
        }
    }

    fn figures(&self) -> Telling<'_, String> {
        let text = "# TYPE mainstem_connections gauge\n\
            mainstem_connections{protocol=\"sse\",note=\"a \\\"b\\\"\"} 3\n\
            # TYPE mainstem_seconds histogram\nmainstem_seconds_bucket{le=\"1\"} 2\n\
            mainstem_seconds_sum 1.5\nmainstem_seconds_count 2\n";
        Box::pin(std::future::ready(text.to_owned()))
    }

    fn state(&self) -> Telling<'_, Value> {
        let state = json!({"database": {"reason": "postgres://user:hush-hush@host/db is gone"}});
        Box::pin(std::future::ready(state))
    }
}

struct Rig {
    control: Control,
    tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    live: Arc<RigLive>,
    clock: Arc<ManualClock>,
    router: Router,
    public: Router,
    letters: people::Letters,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    fn field(&self) -> &str {
        self.body["error"]["details"]["field"].as_str().unwrap_or("")
    }

    /// The answer's body, which must come with this status.
    #[track_caller]
    fn ok(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str, field: &str) {
        let found = (self.status.as_u16(), self.code(), self.field());
        assert_eq!(found, (status, code, field), "{}", self.body);
        assert!(self.body["error"]["request_id"].is_string(), "{}", self.body);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn webhook_config() -> ::webhooks::Config {
    ::webhooks::Config {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        plain_http_allowed: true,
        ..::webhooks::Config::default()
    }
}

/// Fresh and empty; on PostgreSQL where `MAINSTEM_TEST_DATABASE` asks for it.
async fn store(
    dir: &tempfile::TempDir,
    clock: Arc<ManualClock>,
    rng: Arc<dyn Rng>,
) -> Arc<Tenancy> {
    let chosen = tokio::task::spawn_blocking(testkit::postgres::chosen).await.expect("no panic");
    let sqlite = || Options::sqlite(&dir.path().join("mainstem.db"));
    let options = chosen.map_or_else(sqlite, Options::new);
    let tenancy = Tenancy::connect(&options, clock, rng).await;
    Arc::new(tenancy.expect("a fresh database"))
}

impl Rig {
    async fn new() -> Rig {
        Rig::at("http://localhost:8081").await
    }

    /// With the console at this address.
    async fn at(console: &str) -> Rig {
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        let clock = ManualClock::shared(START_MS);
        let rng: Arc<dyn Rng> = SeededRng::shared(11);
        let tenancy = store(&dir, clock.clone(), Arc::clone(&rng)).await;
        let (secrets, time) = (Secrets::from_bytes([7; 32]), clock.clone() as Arc<dyn Clock>);
        let authenticator = Authenticator::new(
            Arc::clone(&tenancy) as _,
            &secrets,
            Settings::default(),
            Arc::clone(&time),
            Arc::clone(&rng),
        );
        let authenticator = Arc::new(authenticator.expect("a client for key sets"));
        let live = Arc::new(RigLive::default());
        let tokens = OperatorTokens::new(&[SecretString::from(TOKEN)]).expect("long enough");
        let sealer = Arc::new(secrets.sealer(Arc::clone(&rng)));
        let hub: Arc<dyn Hub> =
            Arc::new(RigHub::new(Arc::clone(&tenancy), Arc::clone(&authenticator)));
        let webhooks = ::webhooks::Webhooks::new(::webhooks::Parts {
            tenancy: Arc::clone(&tenancy),
            authenticator: Arc::clone(&authenticator),
            sealer: Arc::clone(&sealer),
            hub: Arc::clone(&hub),
            clock: Arc::clone(&time),
            rng: Arc::clone(&rng),
            config: webhook_config(),
        });
        let (records, keys) = (Arc::clone(&tenancy), Arc::clone(&authenticator));
        let trail = Arc::new(::audit::Trail::new(records, keys, Arc::clone(&hub)));
        let alerts = alerts::parts(&tenancy, &sealer, &time, &rng);
        let (mailer, letters) = people::mailer(&dir, &time, &rng);
        let people = people::service(PeopleParts {
            tenancy: Arc::clone(&tenancy),
            secrets: &secrets,
            settings: people::settings(console),
            mailer,
            clock: Arc::clone(&time),
            rng: Arc::clone(&rng),
        });
        let unlimited = RateSettings { principal_per_second_max: 0, address_per_second_max: 0 };
        let control = Control {
            tenancy: Arc::clone(&tenancy),
            authenticator: Arc::clone(&authenticator),
            sealer,
            operators: Arc::new(tokens),
            people: Arc::clone(&people),
            hub,
            groups: Some(Arc::new(rig_groups::RigGroups::default())),
            webhooks: webhooks.expect("a client"),
            trail: Arc::clone(&trail),
            alerts: Some(alerts),
            live: Arc::clone(&live) as _,
            configuration: Some(Arc::new(RigConfiguration(Mutex::new(json!({"level": 0}))))),
            process: Some(Arc::new(RigProcess)),
            setup: Some(security::setup()),
            logbook: Arc::new(Logbook::new(100)),
            // The clock stands still, and with it a rate.
            rates: Arc::new(Rates::new(unlimited, Arc::clone(&time))),
            approvals: crate::ApprovalSettings::default(),
            billing: None,
            backups: None,
            transfers: None,
            keyring: Some(keys_at_rest::keyring(Arc::clone(&rng))),
            clock: time,
            rng,
        };
        let (router, public) = (control.routes(), control.project_routes());
        Rig { control, tenancy, authenticator, live, clock, router, public, letters, _dir: dir }
    }

    /// The API as another process would serve it, from the same records and secrets.
    fn restarted(&self) -> Router {
        let people = people::service(PeopleParts {
            tenancy: Arc::clone(&self.tenancy),
            secrets: &Secrets::from_bytes([7; 32]),
            settings: people::settings("http://localhost:8081"),
            mailer: mail::Mailer::none(),
            clock: Arc::clone(&self.control.clock),
            rng: SeededRng::shared(12),
        });
        Control { people, ..self.control.clone() }.routes()
    }

    fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        let request = request.uri(path).header("authorization", format!("Bearer {TOKEN}"));
        request.body(body.into()).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn send(router: &Router, request: Request<Body>) -> Answer {
        let response = router.clone().oneshot(request).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        // A stream goes on: who wants to read one does so itself.
        let kind = parts.headers.get("content-type");
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            return Answer { status: parts.status, headers: parts.headers, body: Value::Null };
        }
        let body = wire_http::read_body(body, ANSWER_BYTES_MAX).await.expect("a short answer");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// As the operator; a null body is none.
    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Rig::send(&self.router, Rig::request(method, path, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.live.changes.lock())
    }

    /// The path of a new tenant, and of a project in it.
    async fn project(&self, name: &str) -> (String, String) {
        let tenant = self.call("POST", "/v1/tenants", json!({"name": name})).await.ok(201);
        let tenant = format!("/v1/tenants/{}", text(&tenant["id"]));
        let projects = format!("{tenant}/projects");
        let project = self.call("POST", &projects, json!({"name": name})).await.ok(201);
        let project = format!("{projects}/{}", text(&project["id"]));
        self.changes();
        (tenant, project)
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn peer() -> Peer {
    Peer {
        address: ([127, 0, 0, 1], 4_000).into(),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId("req-of-test".into()),
    }
}
