//! How well the installation is set up, as the admin API tells it: facts are gathered from the
//! store and from whoever knows the configuration and the process, `posture` judges them, and what
//! somebody accepted is set apart. It must not judge, nor know who may see what.

mod gather;
mod window;
mod worker;

pub(crate) use gather::{Look, Scope, look};
pub(crate) use window::{past, window};
pub use worker::SecurityWorker;

use crate::Telling;

/// What only the server knows: its configuration with the files that it names, and its process.
/// What concerns the store, keys and backups is filled in here.
pub trait Setup: Send + Sync + 'static {
    fn configuration(&self) -> Telling<'_, posture::Config>;
    fn running(&self) -> Telling<'_, posture::Running>;
}
