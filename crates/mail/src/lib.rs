//! Letters to people: a bounded queue, and a postman who carries them by SMTP or into a folder. It
//! must not know who gets what, nor why; a letter's text may hold a secret link and is never
//! logged.
#![forbid(unsafe_code)]

mod postman;
mod settings;
#[cfg(test)]
mod tests;

pub use postman::Postman;
pub use settings::{MailSettings, Smtp, Tls};

use std::path::PathBuf;
use std::sync::Arc;
use stdx::{Clock, Rng};
use tokio::sync::mpsc;

/// One letter.
#[derive(Clone)]
pub struct Letter {
    /// One address, as the user has it.
    pub to: String,
    pub subject: String,
    /// Plain text; lines end with a line feed.
    pub text: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail.{key}: {why}")]
pub struct BadMailSetting {
    pub key: &'static str,
    pub why: String,
}

/// Where letters are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailer {
    queue: Option<mpsc::Sender<Letter>>,
}

impl Mailer {
    /// With the postman, who must be run. Without anywhere to send to there is none, and
    /// `is_working` says so. `folder` is where letters go when no SMTP server is set.
    pub fn new(
        settings: &MailSettings,
        folder: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<(Mailer, Option<Postman>), BadMailSetting> {
        let Some(postman) = Postman::new(settings, folder, clock, rng)? else {
            return Ok((Mailer { queue: None }, None));
        };
        let (queue, letters) = mpsc::channel(settings.queue_max.max(1));
        Ok((Mailer { queue: Some(queue) }, Some(postman.with(letters))))
    }

    /// Nobody to carry letters.
    pub fn none() -> Mailer {
        Mailer { queue: None }
    }

    /// Whether letters can be sent at all.
    pub fn is_working(&self) -> bool {
        self.queue.is_some()
    }

    /// Takes the letter, or answers that the queue is full or that there is nobody to carry it.
    /// Does not wait.
    pub fn send(&self, letter: Letter) -> Result<(), NotTaken> {
        let queue = self.queue.as_ref().ok_or(NotTaken)?;
        queue.try_send(letter).map_err(|_| NotTaken)
    }
}

/// The letter was not taken: no mail is set up, or too many letters wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the letter cannot be sent now")]
pub struct NotTaken;
