//! Server and key out of the file that `mainstem dev` writes into its data folder.

use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// A server that has just been started may listen before it has written the file.
const FILE_WAIT_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct DevCredentials {
    http_url: String,
    api_key: String,
}

/// Address and API key. The key is shown in no error.
pub async fn read(file: &Path) -> Result<(String, String), String> {
    let until = Instant::now() + FILE_WAIT_MAX;
    let text = loop {
        match tokio::fs::read_to_string(file).await {
            Ok(text) => break text,
            Err(error) if Instant::now() >= until => {
                return Err(format!("{}: {error}", file.display()));
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    };
    parse(&text).ok_or_else(|| format!("{} holds no http_url and api_key", file.display()))
}

pub fn parse(text: &str) -> Option<(String, String)> {
    let found: DevCredentials = serde_json::from_str(text).ok()?;
    Some((found.http_url, found.api_key))
}
