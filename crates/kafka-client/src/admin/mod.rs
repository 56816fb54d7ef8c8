//! Administration: topics and their settings, offsets, groups, access lists, users. Each call is
//! one question, asked again while its error is one that passes.

mod access;
mod groups;
mod members;
mod offsets;
mod settings;
mod topics;

pub use access::{AccessRule, User};
pub use groups::{Committed, Group, Offsets};
pub(crate) use groups::{commit_topics, fetch_request, judge_commit, judge_fetch, read_offsets};
pub use members::{Described, GroupKind, Member};
pub use offsets::At;
pub use settings::Setting;
pub use topics::NewTopic;

use crate::Cluster;
use std::sync::Arc;

/// Asks for and changes what a cluster keeps.
#[derive(Debug, Clone)]
pub struct Admin {
    cluster: Arc<Cluster>,
}

impl Admin {
    pub fn new(cluster: Arc<Cluster>) -> Admin {
        Admin { cluster }
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }
}

/// How long a broker may take for a change.
const CHANGE_MS_MAX: i32 = 30_000;
