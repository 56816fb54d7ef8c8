//! Which server a command talks to, and as whom: options, environment, the credentials file that
//! `mainstem dev` writes, or the session of a person who signed in.

use crate::session::{Keep, Session};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// A request that takes longer failed.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Where a server on this computer has its admin API.
const ADMIN_URL: &str = "http://127.0.0.1:8081";

#[derive(clap::Args, Debug, Clone, Default)]
pub struct Target {
    /// The server, `http://127.0.0.1:8080`.
    #[arg(long, global = true, env = "MAINSTEM_URL")]
    pub url: Option<String>,
    /// The admin API, `http://127.0.0.1:8081`.
    #[arg(long, global = true, env = "MAINSTEM_ADMIN_URL")]
    pub admin_url: Option<String>,
    /// An API key of the project.
    #[arg(long, global = true, env = "MAINSTEM_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// The operator's token, for the admin API.
    #[arg(long, global = true, env = "MAINSTEM_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Why it is asked for, for whoever approves an act that waits for a second person.
    #[arg(long, global = true)]
    pub approval_reason: Option<String>,
    /// An approved pass (`apr_...`), for exports and imports that waited for a second person.
    #[arg(long, global = true)]
    pub approval: Option<String>,
    /// Acts at once where a second person would have to approve, and says why: operator tokens
    /// only. It is written to the audit trail, and an alert fires.
    #[arg(long, global = true, value_name = "REASON")]
    pub break_glass: Option<String>,
    /// Where to look for what is not given: the file `mainstem dev` writes.
    #[arg(long, global = true, default_value = "data/dev-credentials.json")]
    pub credentials: PathBuf,
}

#[derive(Deserialize, Default)]
struct DevCredentials {
    http_url: Option<String>,
    admin_url: Option<String>,
    api_key: Option<String>,
    admin_token: Option<String>,
}

/// One of the two APIs with its credential.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    pub secret: String,
    pub http: reqwest::Client,
    /// Sent with every request.
    pub headers: HeaderMap,
}

impl Target {
    pub fn public(&self) -> Result<Api, String> {
        let file = self.dev_credentials();
        let secret = self.api_key.clone().or(file.api_key).ok_or(
            "no API key: give --api-key or MAINSTEM_API_KEY, or run beside `mainstem dev`",
        )?;
        let url = self.url.clone().or(file.http_url);
        Api::new(url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned()), secret)
    }

    /// The public API for a caller who brings credentials of its own.
    pub fn public_as(&self, secret: String) -> Result<Api, String> {
        let url = self.url.clone().or(self.dev_credentials().http_url);
        Api::new(url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned()), secret)
    }

    /// The admin API: as the operator whose token is given, as the person who signed in at the
    /// server that is named, as the operator of the `mainstem dev` beside, or as whoever signed in.
    pub async fn admin(&self) -> Result<Api, String> {
        let file = self.dev_credentials();
        let keep = Keep::of_user();
        let session = keep.as_ref().ok().and_then(Keep::load);
        let is_named = |session: &Session| {
            self.admin_url.as_deref().is_some_and(|url| plain(url) == session.server)
        };
        let is_asked = session.as_ref().is_some_and(|session| {
            is_named(session) || (self.admin_url.is_none() && file.admin_token.is_none())
        });
        if let (None, true, Ok(keep)) = (&self.admin_token, is_asked, &keep) {
            let session = keep.fresh().await?;
            let api = Api::with_secret(&session.server, session.access_token)?;
            return Ok(Api { headers: self.said()?, ..api });
        }
        let secret = self.admin_token.clone().or(file.admin_token).ok_or(
            "nobody is signed in and there is no admin token: `mainstem login`, give \
             --admin-token or MAINSTEM_ADMIN_TOKEN, or run beside `mainstem dev`",
        )?;
        let url = self.admin_url.clone().or(file.admin_url);
        let api = Api::new(url.unwrap_or_else(|| ADMIN_URL.to_owned()), secret)?;
        Ok(Api { headers: self.said()?, ..api })
    }

    /// What is said of acts that wait for a second person.
    fn said(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, text) in [
            ("approval-reason", &self.approval_reason),
            ("approval", &self.approval),
            ("break-glass", &self.break_glass),
        ] {
            let Some(text) = text else { continue };
            let value = HeaderValue::from_bytes(text.as_bytes());
            let value = value.map_err(|_| format!("--{name} is one line of text"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// Where to sign in: what is named, else what `admin` would ask.
    pub fn admin_server(&self, named: Option<&str>) -> String {
        let named = named.map(str::to_owned).or_else(|| self.admin_url.clone());
        let known = named.or_else(|| self.dev_credentials().admin_url);
        known.unwrap_or_else(|| ADMIN_URL.to_owned())
    }

    /// A missing or unreadable file is as good as none: what is needed is asked for by name.
    fn dev_credentials(&self) -> DevCredentials {
        std::fs::read(&self.credentials)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refused {
    /// The server's own refusal.
    Told {
        code: String,
        field: String,
        line: String,
    },
    Failed(String),
}

impl Refused {
    /// One line for people.
    pub fn into_line(self) -> String {
        match self {
            Refused::Told { line, .. } | Refused::Failed(line) => line,
        }
    }
}

/// An address as sessions keep it.
fn plain(url: &str) -> &str {
    url.trim_end_matches('/')
}

impl Api {
    /// For what anybody may ask.
    pub fn open(url: &str) -> Result<Api, String> {
        Api::new(url.to_owned(), String::new())
    }

    pub fn with_secret(url: &str, secret: String) -> Result<Api, String> {
        Api::new(url.to_owned(), secret)
    }

    fn new(url: String, secret: String) -> Result<Api, String> {
        // No limit on the whole of an answer: following never ends.
        let http = reqwest::Client::builder()
            .connect_timeout(REQUEST_TIME_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        let (url, headers) = (plain(&url).to_owned(), HeaderMap::new());
        Ok(Api { url, secret, http, headers })
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.headers(self.headers.clone()).bearer_auth(&self.secret)
    }

    /// Sends and reads the JSON answer with its status; a refusal keeps its code and field.
    pub async fn ask(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Value), Refused> {
        let sent = request.timeout(REQUEST_TIME_MAX).send().await;
        let failed = |error: reqwest::Error| Refused::Failed(format!("{}: {error}", self.url));
        let answer = sent.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok((status, body));
        }
        let Some(line) = refusal(&text) else {
            return Err(Refused::Failed(format!("{status}: {text}")));
        };
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let error = &body["error"];
        let (code, field) = (word(&error["code"]), word(&error["details"]["field"]));
        Err(Refused::Told { code, field, line })
    }

    /// Sends and reads the JSON answer; a refusal becomes its message.
    pub async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        self.call_waiting(request.timeout(REQUEST_TIME_MAX)).await
    }

    /// For requests that say themselves how long they may take.
    pub async fn call_waiting(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let bytes = self.fetch(request).await?;
        let text = String::from_utf8_lossy(&bytes);
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))
    }

    /// Sends and reads the answer as it is; a refusal becomes its message. For requests that say
    /// themselves how long they may take.
    pub async fn fetch(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
        let answer = request
            .send()
            .await
            .map_err(|error| format!("{} does not answer: {error}", self.url))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&bytes);
            return Err(refusal(&text).unwrap_or_else(|| format!("{status}: {text}")));
        }
        // Nothing was done, and whoever waits for its answer must not take this for one.
        if status == reqwest::StatusCode::ACCEPTED
            && let Some(waiting) = crate::approvals::waiting(&String::from_utf8_lossy(&bytes))
        {
            return Err(waiting);
        }
        Ok(bytes.into())
    }
}

/// The server's one error shape as one line for people.
pub fn refusal(text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    let error = &body["error"];
    let code = error["code"].as_str()?;
    let mut line = format!("{code}: {}", error["message"].as_str().unwrap_or_default());
    if let Some(field) = error["details"]["field"].as_str() {
        line += &format!(" (field {field})");
    }
    if let Some(hint) = error["details"]["hint"].as_str() {
        line += &format!("; {hint}");
    }
    Some(line)
}

/// One segment of a path, whatever characters it holds.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
