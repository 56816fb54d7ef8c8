//! Carries letters, one after the other. A server that does not answer is tried again with growing
//! waits; one that refuses a letter for good is not.

use crate::settings::{MailSettings, Smtp, Tls};
use crate::{BadMailSetting, Letter};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as Protection, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use port::metric;
use secrecy::ExposeSecret;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use tokio::sync::{mpsc, watch};

/// Waits between attempts at one letter.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
/// One attempt takes no longer.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(30);
/// Letters that stay in the folder; the oldest go.
const FILES_MAX: usize = 1_000;

enum Route {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// Why a letter did not go.
enum Failure {
    /// Perhaps later.
    ForNow(String),
    ForGood(String),
}

pub struct Postman {
    from: Mailbox,
    route: Route,
    attempts_max: u32,
    letters: mpsc::Receiver<Letter>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for Postman {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postman").field("from", &self.from.email).finish_non_exhaustive()
    }
}

fn bad(key: &'static str, why: impl std::fmt::Display) -> BadMailSetting {
    BadMailSetting { key, why: why.to_string() }
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, BadMailSetting> {
    let parameters =
        || TlsParameters::new(smtp.host.clone()).map_err(|error| bad("smtp.host", error));
    let protection = match smtp.tls {
        Tls::Implicit => Protection::Wrapper(parameters()?),
        Tls::StartTls => Protection::Required(parameters()?),
        Tls::None => Protection::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port())
        .tls(protection)
        .timeout(Some(ATTEMPT_TIME_MAX));
    Ok(match (&smtp.username, smtp.secret()?) {
        (Some(name), Some(password)) => {
            let password = password.expose_secret().to_owned();
            builder.credentials(Credentials::new(name.clone(), password)).build()
        }
        (None, None) => builder.build(),
        _ => return Err(bad("smtp.username", "a user needs a password, and a password a user")),
    })
}

impl Postman {
    /// `None`: there is nowhere to carry letters to.
    pub(crate) fn new(
        settings: &MailSettings,
        folder: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Option<Postman>, BadMailSetting> {
        let from = settings.from.parse::<Mailbox>().map_err(|error| bad("from", error))?;
        let folder = settings.folder.clone().or(folder);
        let route = match (&settings.smtp, folder) {
            (Some(smtp), _) => Route::Smtp(transport(smtp)?),
            (None, Some(folder)) => Route::Folder(folder),
            (None, None) => return Ok(None),
        };
        let (_, letters) = mpsc::channel(1);
        let attempts_max = settings.attempts_max.max(1);
        Ok(Some(Postman { from, route, attempts_max, letters, clock, rng }))
    }

    pub(crate) fn with(self, letters: mpsc::Receiver<Letter>) -> Postman {
        Postman { letters, ..self }
    }

    /// Carries letters until told to stop, or nobody can hand one in any more.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        loop {
            let letter = tokio::select! {
                letter = self.letters.recv() => letter,
                _ = stopped.changed() => return,
            };
            let Some(letter) = letter else { return };
            tokio::select! {
                () = self.carry(&letter) => {}
                _ = stopped.changed() => {
                    tracing::warn!(subject = letter.subject, "a letter was not sent: stopping");
                    return;
                }
            }
        }
    }

    /// One letter, until it is sent or given up.
    async fn carry(&self, letter: &Letter) {
        for attempt in 0..self.attempts_max {
            let (outcome, why, is_over) = match self.send(letter).await {
                Ok(()) => ("sent", String::new(), true),
                Err(Failure::ForGood(why)) => ("refused", why, true),
                Err(Failure::ForNow(why)) if attempt + 1 == self.attempts_max => {
                    ("given_up", why, true)
                }
                Err(Failure::ForNow(why)) => ("put_off", why, false),
            };
            metrics::counter!(metric::LETTERS, "outcome" => outcome).increment(1);
            if outcome != "sent" {
                tracing::warn!(subject = letter.subject, outcome, why, "a letter was not sent");
            }
            if is_over {
                return;
            }
            tokio::time::sleep(BACKOFF.wait(attempt, self.rng.as_ref())).await;
        }
    }

    async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let to = letter.to.parse::<Mailbox>();
        let to = to.map_err(|error| Failure::ForGood(error.to_string()))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| Failure::ForGood(error.to_string()))?;
        match &self.route {
            Route::Smtp(transport) => match transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_permanent() => Err(Failure::ForGood(error.to_string())),
                Err(error) => Err(Failure::ForNow(error.to_string())),
            },
            Route::Folder(folder) => {
                let name = self.file_name();
                let (folder, bytes) = (folder.clone(), message.formatted());
                let path = folder.join(name);
                let shown = path.display().to_string();
                let write = tokio::task::spawn_blocking(move || write(&folder, &path, &bytes));
                write
                    .await
                    .map_err(|error| Failure::ForNow(error.to_string()))?
                    .map_err(|error| Failure::ForNow(error.to_string()))?;
                tracing::info!(letter = shown, subject = letter.subject, "a letter was written");
                Ok(())
            }
        }
    }

    /// Sorts by time, and is nobody else's.
    fn file_name(&self) -> String {
        format!("{:013}-{:08x}.eml", self.clock.now_ms().max(0), self.rng.next_u64() as u32)
    }
}

/// Readable by the owner only: the links in letters open accounts.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .collect();
    names.sort_unstable();
    for old in names.iter().take((names.len() + 1).saturating_sub(FILES_MAX)) {
        std::fs::remove_file(old)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create_new(true).write(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, bytes)
}
