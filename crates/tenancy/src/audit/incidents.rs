//! What was refused, on its way into the trail: gathered so that a flood cannot fill it. Of one
//! principal and reason the first in a minute is written at once, the others of the minute as one
//! record with their number. What is beyond the bounds of a minute is told together, too. Nothing
//! here waits.

use super::AuditOutcome;
use crate::entity::audit as table;
use crate::{Result, Tenancy};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use types::{ProjectId, TenantId, TimestampMs};

const WINDOW_MS: i64 = 60_000;
/// Principals and reasons of one tenant told apart in a minute.
const KEYS_OF_TENANT_MAX: usize = 32;
/// Of those who are nobody's: credentials that prove nothing, the admin API.
const KEYS_OF_NOBODY_MAX: usize = 64;
/// Of everybody.
const KEYS_MAX: usize = 512;
/// Kinds of what is told together; actions and reasons are few.
const REST_MAX: usize = 128;
/// Bytes of a reason and of a target that are kept.
const TEXT_BYTES_MAX: usize = 256;
/// Whom a record names when it tells of many.
const MANY: &str = "many";

/// Something that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    /// Who tried; `unknown` when nobody was proven.
    pub actor: String,
    /// Noun and verb of what was tried: `record.publish`.
    pub action: &'static str,
    /// On what.
    pub target: String,
    pub outcome: AuditOutcome,
    /// Why: a code of the reference, perhaps with where.
    pub reason: String,
    pub address: Option<IpAddr>,
    pub request: Option<String>,
}

/// An incident that is to be written, and how often it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub incident: Incident,
    pub count: u64,
    /// From when to when it happened.
    pub from: TimestampMs,
    pub to: TimestampMs,
}

/// Who, what, why; of the unknown, from where.
type Key = (Option<TenantId>, String, &'static str, String, Option<IpAddr>);

#[derive(Default)]
struct State {
    window: i64,
    /// Repetitions of what was told already in this minute.
    kept: HashMap<Key, Told>,
    of_tenant: HashMap<Option<TenantId>, usize>,
    /// By action and reason: what is beyond the bounds.
    rest: HashMap<(&'static str, String), Told>,
    ready: Vec<Told>,
}

/// Gathers incidents of the whole node.
#[derive(Default)]
pub struct Incidents(Mutex<State>);

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

impl State {
    /// Ends the minute: what repeated in it is ready to be told.
    fn roll(&mut self, now: TimestampMs) {
        let window = now.div_euclid(WINDOW_MS);
        if window == self.window {
            return;
        }
        self.window = window;
        self.of_tenant.clear();
        let repeated = std::mem::take(&mut self.kept).into_values();
        self.ready.extend(repeated.filter(|told| told.count > 0));
        self.ready.extend(std::mem::take(&mut self.rest).into_values());
    }

    fn note(&mut self, incident: Incident, now: TimestampMs) {
        let from = incident.address.filter(|_| incident.tenant.is_none());
        let (actor, reason) = (incident.actor.clone(), incident.reason.clone());
        let key = (incident.tenant, actor, incident.action, reason, from);
        if let Some(told) = self.kept.get_mut(&key) {
            told.count += 1;
            told.to = now;
            return;
        }
        let of_tenant = self.of_tenant.entry(incident.tenant).or_default();
        let max = if incident.tenant.is_some() { KEYS_OF_TENANT_MAX } else { KEYS_OF_NOBODY_MAX };
        if *of_tenant >= max || self.kept.len() >= KEYS_MAX {
            return self.fold(incident, now);
        }
        *of_tenant += 1;
        let first = Told { incident, count: 1, from: now, to: now };
        self.kept.insert(key, Told { count: 0, ..first.clone() });
        self.ready.push(first);
    }

    /// Counts what nobody is told of one by one.
    fn fold(&mut self, incident: Incident, now: TimestampMs) {
        let key = (incident.action, incident.reason.clone());
        if self.rest.len() >= REST_MAX && !self.rest.contains_key(&key) {
            return;
        }
        let told = self.rest.entry(key).or_insert_with(|| {
            let (tenant, project, address, request) = (None, None, None, None);
            let (actor, target) = (MANY.to_owned(), MANY.to_owned());
            let all = Incident { tenant, project, actor, target, address, request, ..incident };
            Told { incident: all, count: 0, from: now, to: now }
        });
        told.count += 1;
        told.to = now;
    }
}

impl Incidents {
    /// Takes an incident down. Cheap: it is called for whatever is refused.
    pub fn note(&self, mut incident: Incident, now: TimestampMs) {
        cut(&mut incident.reason);
        cut(&mut incident.target);
        // Each field is whole at any moment; a panic elsewhere spoils nothing.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.roll(now);
        state.note(incident, now);
    }

    /// What is to be written now.
    pub fn take(&self, now: TimestampMs) -> Vec<Told> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.roll(now);
        std::mem::take(&mut state.ready)
    }
}

impl Tenancy {
    /// Where the node takes down what it refuses.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Writes incidents into the trail; each carries its tenant. For the node's worker only.
    pub async fn note_incidents(&self, all: &[Told]) -> Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        let transaction = self.begin().await?;
        let rows = all.iter().map(|told| {
            let incident = &told.incident;
            let mut details = json!({"reason": incident.reason});
            if told.count > 1 {
                details["from"] = json!(told.from);
                details["to"] = json!(told.to);
            }
            table::ActiveModel {
                id: Set(self.ids.uuid()),
                tenant_id: Set(incident.tenant.map(|id| id.0)),
                project_id: Set(incident.project.map(|id| id.0)),
                actor: Set(incident.actor.clone()),
                action: Set(incident.action.to_owned()),
                target: Set(incident.target.clone()),
                details: Set(details),
                at: Set(told.to),
                outcome: Set(incident.outcome.name().to_owned()),
                address: Set(incident.address.map(|address| address.to_string())),
                request: Set(incident.request.clone()),
                count: Set(i64::try_from(told.count).unwrap_or(i64::MAX)),
                ..Default::default()
            }
        });
        let rows: Vec<table::ActiveModel> = rows.collect();
        for chunk in rows.chunks(100) {
            table::Entity::insert_many(chunk.to_vec()).exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
