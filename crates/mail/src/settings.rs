//! What an operator may set about mail. The doc comments are the manual.

use crate::BadMailSetting;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How letters reach people. Without `smtp` and `folder` none are sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// Who letters come from: `Mainstem <mainstem@example.org>`.
    pub from: String,
    /// The server that takes letters and brings them on.
    pub smtp: Option<Smtp>,
    /// A folder into which letters are written as `.eml` files instead, for development. At most
    /// a thousand stay there.
    pub folder: Option<PathBuf>,
    /// Letters that may wait to be sent.
    pub queue_max: usize,
    /// Attempts to send one letter before it is given up.
    pub attempts_max: u32,
}

/// A mail server that takes letters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    pub host: String,
    /// 465 with TLS from the start, 587 with STARTTLS and 25 without TLS when absent.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub username: Option<String>,
    /// Better given as a file. Hidden in printed configurations.
    #[serde(default, skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the start.
    #[default]
    Implicit,
    /// After `STARTTLS`; without it nothing is sent.
    StartTls,
    /// Not at all: for a server on this very machine.
    None,
}

impl Default for MailSettings {
    fn default() -> MailSettings {
        MailSettings {
            from: "Mainstem <mainstem@localhost>".to_owned(),
            smtp: None,
            folder: None,
            queue_max: 256,
            attempts_max: 8,
        }
    }
}

impl Smtp {
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Implicit => 465,
            Tls::StartTls => 587,
            Tls::None => 25,
        })
    }

    /// The password, from wherever it is.
    pub(crate) fn secret(&self) -> Result<Option<SecretString>, BadMailSetting> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        let text = std::fs::read_to_string(file).map_err(|error| BadMailSetting {
            key: "smtp.password_file",
            why: format!("{}: {error}", file.display()),
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into()))
    }
}
