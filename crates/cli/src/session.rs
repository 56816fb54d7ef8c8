//! The session of a person who signed in from this terminal: kept in a file that only he can read,
//! with the secret by which the server knows the device again. One command at a time replaces its
//! tokens, since a refresh token counts once.

use crate::target::Api;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An access token is replaced so long before its end.
const REFRESH_AHEAD: Duration = Duration::from_secs(30);
/// Bytes of a file of ours; a longer one is none.
const FILE_BYTES_MAX: u64 = 64 << 10;
const DEVICE_BYTES: usize = 24;

/// Who is signed in where.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The admin API.
    pub server: String,
    pub email: String,
    pub access_token: String,
    /// Milliseconds since 1970.
    pub access_expires_at: i64,
    pub refresh_token: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { server, email, .. } = self;
        f.debug_struct("Session").field("server", server).field("email", email).finish()
    }
}

impl Session {
    /// From what the server answers to a sign-in or a refresh.
    pub fn from_tokens(server: &str, tokens: &Value) -> Result<Session, String> {
        let text = |value: &Value, name: &str| {
            let found = value.as_str().map(str::to_owned);
            found.ok_or_else(|| format!("the server's answer has no {name}"))
        };
        Ok(Session {
            server: server.to_owned(),
            email: text(&tokens["user"]["email"], "address")?,
            access_token: text(&tokens["access_token"], "access token")?,
            access_expires_at: tokens["access_expires_at"].as_i64().unwrap_or(0),
            refresh_token: text(&tokens["refresh_token"], "refresh token")?,
        })
    }
}

/// Where sessions are kept: `mainstem` in the user's folder for configuration.
#[derive(Debug, Clone)]
pub struct Keep {
    folder: PathBuf,
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Keep {
    /// `XDG_CONFIG_HOME`, else `.config` at home.
    pub fn of_user() -> Result<Keep, String> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = match (given("XDG_CONFIG_HOME"), given("HOME")) {
            (Some(folder), _) => PathBuf::from(folder),
            (None, Some(home)) => PathBuf::from(home).join(".config"),
            (None, None) => return Err("neither XDG_CONFIG_HOME nor HOME is set".to_owned()),
        };
        Ok(Keep { folder: folder.join("mainstem") })
    }

    #[cfg(test)]
    pub(crate) fn in_folder(folder: &Path) -> Keep {
        Keep { folder: folder.to_owned() }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    fn make_folder(&self) -> Result<(), String> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| failed("make", &self.folder, &error))
    }

    /// Held while tokens are replaced.
    fn lock(&self) -> Result<File, String> {
        self.make_folder()?;
        let path = self.folder.join("session.lock");
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| failed("open", &path, &error))?;
        file.lock().map_err(|error| failed("lock", &path, &error))?;
        Ok(file)
    }

    /// Written beside and moved into place, so that nobody reads half of it.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        self.make_folder()?;
        let path = self.folder.join(name);
        let beside = self.folder.join(format!("{name}.{}", std::process::id()));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file =
                options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        })();
        written.map_err(|error| failed("write", &path, &error))
    }

    fn read(&self, name: &str) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.folder.join(name)).ok()?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// `None`: nobody is signed in.
    pub fn load(&self) -> Option<Session> {
        serde_json::from_str(&self.read("session.json")?).ok()
    }

    pub fn save(&self, session: &Session) -> Result<(), String> {
        let text = serde_json::to_string_pretty(session).map_err(|error| error.to_string())?;
        self.write("session.json", &text)
    }

    /// Forgets the session; the device stays known.
    pub fn forget(&self) -> Result<(), String> {
        match fs::remove_file(self.file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &self.file(), &error))
            }
            _ => Ok(()),
        }
    }

    /// Made once for each user of a computer.
    pub fn device(&self) -> Result<String, String> {
        if let Some(known) = self.read("device").map(|text| text.trim().to_owned())
            && known.len() >= DEVICE_BYTES
        {
            return Ok(known);
        }
        let mut bytes = [0; DEVICE_BYTES];
        let mut random = File::open("/dev/urandom").map_err(|error| error.to_string())?;
        random.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        let made: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("device", &made)?;
        Ok(made)
    }

    /// The session with an access token that counts for a while; nobody else refreshes meanwhile.
    pub async fn fresh(&self) -> Result<Session, String> {
        let signed_out = || "you are signed out: `mainstem login` first".to_owned();
        let ahead = i64::try_from(REFRESH_AHEAD.as_millis()).unwrap_or(0);
        let counts = |session: &Session| session.access_expires_at - now_ms() > ahead;
        let known = self.load().ok_or_else(signed_out)?;
        if counts(&known) {
            return Ok(known);
        }
        let keep = self.clone();
        let lock = tokio::task::spawn_blocking(move || keep.lock());
        let held = lock.await.map_err(|error| error.to_string())??;
        // Another command may have done it meanwhile.
        let known = self.load().ok_or_else(signed_out)?;
        if counts(&known) {
            return Ok(known);
        }
        let api = Api::open(&known.server)?;
        let body = json!({"refresh_token": known.refresh_token, "device": self.device()?});
        let request = api.request(reqwest::Method::POST, "/v1/auth/refresh").json(&body);
        let tokens = api.call(request).await.map_err(|error| {
            format!("the session cannot be continued ({error}); sign in with `mainstem login`")
        })?;
        let next = Session::from_tokens(&known.server, &tokens)?;
        self.save(&next)?;
        drop(held);
        Ok(next)
    }
}
