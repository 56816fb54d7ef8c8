//! Development mode: a tenant, a project, a key and an operator's token, made once and written
//! where scripts find them, and the commands a newcomer pastes next.

use crate::app::App;
use crate::config::{Config, LogFormat};
use identity::Environment;
use port::Credential;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use stdx::Rng;
use tenancy::{Actor, KeyMode, NewKey};
use types::Scopes;

const NAME: &str = "demo";

#[derive(clap::Args, Debug)]
pub struct Dev {
    /// Where everything durable lies.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Where tenants' clients connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin API answers.
    #[arg(long, default_value = "127.0.0.1:8081")]
    admin_listen: SocketAddr,
    /// Where Kafka clients connect.
    #[arg(long, default_value = "127.0.0.1:9092")]
    kafka_listen: SocketAddr,
    /// Processes that serve clients.
    #[arg(long, default_value_t = 1)]
    processes: u16,
    /// What is logged, in the syntax of `RUST_LOG`.
    #[arg(long, default_value = "info", env = "RUST_LOG")]
    log: String,
}

/// `<data>/dev-credentials.json`, readable by its owner only.
#[derive(Serialize, Deserialize, Clone)]
pub struct DevCredentials {
    pub http_url: String,
    pub admin_url: String,
    pub tenant: String,
    pub project: String,
    pub api_key: String,
    pub admin_token: String,
    #[serde(default)]
    pub kafka: Option<KafkaCredentials>,
}

/// The settings of a Kafka client, each under the name that most clients have for it.
#[derive(Serialize, Deserialize, Clone)]
pub struct KafkaCredentials {
    pub bootstrap: String,
    pub username: String,
    pub password: String,
    pub security_protocol: String,
    pub mechanism: String,
}

impl Dev {
    pub fn config(&self) -> Config {
        let mut config = Config { data_dir: self.data.clone(), ..Config::default() };
        config.processes = self.processes;
        config.edge.listen = self.listen;
        config.edge.admin_listen = Some(self.admin_listen);
        let listener = serde_json::json!({ "listeners": [{ "listen": self.kafka_listen }] });
        config.protocols.insert("kafka".to_owned(), listener);
        config.telemetry.log = self.log.clone();
        config.telemetry.log_format = LogFormat::Pretty;
        config.telemetry.metrics_public = true;
        // Letters are files, for the developer to open.
        config.mail.folder = Some(self.data.join("mail"));
        config.people.console_url = self.console_url();
        // Receivers on the developer's own machine.
        config.webhooks.allow_networks =
            ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect();
        config.webhooks.plain_http_allowed = true;
        // A provider that the developer runs himself.
        config.people.oidc.allow_networks =
            ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect();
        config
    }

    /// Browsers offer passkeys to a name, not to the number of an address.
    fn console_url(&self) -> String {
        match self.admin_listen.ip().is_loopback() {
            true => format!("http://localhost:{}", self.admin_listen.port()),
            false => format!("http://{}", self.admin_listen),
        }
    }

    fn file(&self) -> PathBuf {
        self.data.join("dev-credentials.json")
    }

    /// The operator's token of an earlier start, or a new one.
    pub fn admin_token(&self, rng: &dyn Rng) -> SecretString {
        match read(&self.file()) {
            Some(known) => known.admin_token.into(),
            None => crate::operator_file::make(rng),
        }
    }

    /// Makes what is missing, writes the file anew and says what to do with it.
    pub async fn prepare(&self, app: &App, admin_token: &SecretString) -> Result<(), String> {
        let made = app.tenancy.bootstrap(NAME, &Actor::system()).await;
        let made = made.map_err(|error| error.to_string())?;
        let known = read(&self.file()).map(|known| known.api_key);
        let api_key = match known {
            Some(key) if key_id(app, &key).await.is_some() => key,
            _ => {
                let key = app.authenticator.new_api_key(Environment::Test);
                let new = NewKey {
                    name: NAME.to_owned(),
                    mode: KeyMode::Test,
                    prefix: key.lookup.clone(),
                    hash: key.hash.to_vec(),
                    scopes: Scopes::all(),
                    grants: None,
                    rate_per_second: None,
                    expires_at: None,
                    verifier: app.authenticator.verifier(&key).await,
                };
                let (tenant, project) = (made.tenant.id, made.project.id);
                let stored = app.tenancy.create_key(tenant, project, new, &Actor::system()).await;
                stored.map_err(|error| error.to_string())?;
                key.text.expose_secret().to_owned()
            }
        };
        let admin = app.edge().admin_address().unwrap_or(self.admin_listen);
        let credentials = DevCredentials {
            http_url: format!("http://{}", app.edge().public_address()),
            admin_url: format!("http://{admin}"),
            tenant: made.tenant.id.to_string(),
            project: made.project.id.to_string(),
            api_key,
            admin_token: admin_token.expose_secret().to_owned(),
            kafka: None,
        };
        let credentials = self.with_kafka(app, credentials).await;
        write(&self.file(), &credentials).map_err(|error| error.to_string())?;
        println!("{}", welcome(&credentials, &self.file()));
        Ok(())
    }

    async fn with_kafka(&self, app: &App, mut known: DevCredentials) -> DevCredentials {
        let streams = app.edge().stream_addresses();
        let listener = streams.iter().find(|(protocol, _)| *protocol == "kafka");
        if let Some((_, address)) = listener
            && let Some(username) = key_id(app, &known.api_key).await
        {
            known.kafka = Some(KafkaCredentials {
                bootstrap: address.to_string(),
                username,
                password: known.api_key.clone(),
                security_protocol: "SASL_PLAINTEXT".to_owned(),
                mechanism: "PLAIN".to_owned(),
            });
        }
        known
    }
}

/// The id of the key of an earlier start, if it is still good: the database may be another one.
async fn key_id(app: &App, key: &str) -> Option<String> {
    let peer = port::Peer {
        address: app.edge().public_address(),
        shard: port::ShardId(0),
        is_tls: false,
        request_id: port::RequestId("start".into()),
    };
    let credential = Credential::ApiKey(key.to_owned());
    let who = app.authenticator.authenticate(&peer, &credential).await.ok()?;
    who.claims().key.map(|key| key.to_string())
}

fn read(path: &Path) -> Option<DevCredentials> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, credentials: &DevCredentials) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(credentials)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}

fn welcome(known: &DevCredentials, file: &Path) -> String {
    let (url, key) = (&known.http_url, &known.api_key);
    let socket = url.replacen("http", "ws", 1);
    let place = file.display();
    // As it was called: it need not be on the path.
    let program = std::env::args().next().unwrap_or_else(|| "mainstem".to_owned());
    format!(
        r#"
  Mainstem is up.   Console  {url}/      API  {url}/openapi.json      Admin  {admin}

  export KEY={key}

  Follow, live (curl, then our own client):
    curl -N "{url}/v1/sse?topics=orders&access_token=$KEY"
    {program} --credentials {place} follow orders --from earliest
  Publish:
    curl {url}/v1/events -H "Authorization: Bearer $KEY" \
      -H 'content-type: application/json' \
      -d '{{"topic":"orders","key":"eu/42","data":{{"total":99}}}}'
  WebSocket:
    wscat -c "{socket}/v1/ws?access_token=$KEY" -s mainstem.v1.json
      > {{"type":"subscribe","id":1,"filter":"orders/#","from":"earliest"}}

{kafka}
  All of it is in {place} (for your eyes only). Ctrl-C stops.
"#,
        admin = known.admin_url,
        kafka = known.kafka.as_ref().map(kafka_words).unwrap_or_default(),
    )
}

fn kafka_words(known: &KafkaCredentials) -> String {
    let KafkaCredentials { bootstrap, username, .. } = known;
    format!(
        r#"  Kafka (kcat; the user is the id of the key):
    echo 'eu/42:{{"total":99}}' | kcat -b {bootstrap} -X security.protocol=SASL_PLAINTEXT \
      -X sasl.mechanism=PLAIN -X sasl.username={username} \
      -X sasl.password=$KEY -P -t orders -K :
"#
    )
}
