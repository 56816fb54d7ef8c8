//! Alert rules, whom they tell, and what is silent for a while. The store keeps a rule's terms and
//! does not know what they mean; addresses that hold secrets arrive sealed.

pub(crate) mod state;

use crate::audit::Entry;
use crate::entity::{alert_channel, alert_rule, alert_silence};
use crate::ids::record_id;
use crate::projects::check_name;
use crate::tenants::Word;
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use types::TimestampMs;

/// Rules, channels and silences of an installation: all are read in each round.
pub const ALERT_RULES_MAX: u64 = 500;
pub const ALERT_CHANNELS_MAX: u64 = 100;
pub const ALERT_SILENCES_MAX: u64 = 500;
/// Bytes of a silence's reason.
const REASON_BYTES_MAX: usize = 1_000;
/// A silence lasts no longer: a year.
const SILENCE_MS_MAX: i64 = 366 * 24 * 3_600_000;

record_id!(
    /// A rule that watches something.
    AlertRuleId,
    "alr_"
);
record_id!(
    /// Somebody who is told of alerts.
    AlertChannelId,
    "alc_"
);
record_id!(
    /// What is not told for a while.
    AlertSilenceId,
    "als_"
);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look at it in working hours.
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Word for Severity {
    const ALL: &'static [(Severity, &'static str)] = &[
        (Severity::Info, "info"),
        (Severity::Warning, "warning"),
        (Severity::Critical, "critical"),
    ];
}

impl Severity {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// How a channel reaches people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Letters to one address.
    Mail,
    /// Signed requests (Standard Webhooks).
    Webhook,
    /// An incoming webhook that takes Slack's JSON.
    Slack,
}

impl Word for ChannelKind {
    const ALL: &'static [(ChannelKind, &'static str)] = &[
        (ChannelKind::Mail, "mail"),
        (ChannelKind::Webhook, "webhook"),
        (ChannelKind::Slack, "slack"),
    ];
}

impl ChannelKind {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    pub id: AlertRuleId,
    /// Unique in the installation.
    pub name: String,
    /// Of a rule that is always there: which one. It can be changed and switched off.
    pub built_in: Option<String>,
    pub terms: Value,
    pub severity: Severity,
    pub is_enabled: bool,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewAlertRule {
    pub name: String,
    /// The caller has checked them.
    pub terms: Value,
    pub severity: Severity,
    pub is_enabled: bool,
}

/// What is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AlertRulePatch {
    pub name: Option<String>,
    pub terms: Option<Value>,
    pub severity: Option<Severity>,
    pub is_enabled: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertChannel {
    pub id: AlertChannelId,
    pub name: String,
    pub kind: ChannelKind,
    /// As people may see it.
    pub address: String,
    /// What must not be seen: the whole address, a signing secret.
    pub sealed: Option<Vec<u8>>,
    /// Alerts below it are not told here.
    pub severity_min: Severity,
    pub is_enabled: bool,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewAlertChannel {
    pub name: String,
    pub kind: ChannelKind,
    pub address: String,
    pub sealed: Option<Vec<u8>>,
    pub severity_min: Severity,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertSilence {
    pub id: AlertSilenceId,
    /// `None`: of every rule.
    pub rule: Option<AlertRuleId>,
    /// Only alerts that carry all of these.
    pub labels: BTreeMap<String, String>,
    pub reason: String,
    pub actor: String,
    pub created_at: TimestampMs,
    pub ends_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewAlertSilence {
    pub rule: Option<AlertRuleId>,
    pub labels: BTreeMap<String, String>,
    pub reason: String,
    pub ends_at: TimestampMs,
}

fn read_rule(row: alert_rule::Model) -> Result<AlertRule> {
    Ok(AlertRule {
        id: AlertRuleId(row.id),
        name: row.name,
        built_in: row.built_in,
        terms: row.terms,
        severity: Severity::read(&row.severity)?,
        is_enabled: row.is_enabled,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn read_channel(row: alert_channel::Model) -> Result<AlertChannel> {
    Ok(AlertChannel {
        id: AlertChannelId(row.id),
        name: row.name,
        kind: ChannelKind::read(&row.kind)?,
        address: row.address,
        sealed: row.sealed,
        severity_min: Severity::read(&row.severity_min)?,
        is_enabled: row.is_enabled,
        created_at: row.created_at,
    })
}

fn read_silence(row: alert_silence::Model) -> Result<AlertSilence> {
    Ok(AlertSilence {
        id: AlertSilenceId(row.id),
        rule: row.rule_id.map(AlertRuleId),
        labels: serde_json::from_value(row.labels)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        reason: row.reason,
        actor: row.actor,
        created_at: row.created_at,
        ends_at: row.ends_at,
    })
}

fn name_taken(error: DbErr) -> TenancyError {
    match TenancyError::from(error) {
        TenancyError::Conflict { .. } => TenancyError::conflict("name", "the name is taken"),
        other => other,
    }
}

fn missing(what: &'static str) -> TenancyError {
    TenancyError::NotFound { what }
}

fn told<'a>(
    target: &'a (dyn std::fmt::Display + Sync),
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: None, project: None, action, target, details }
}

fn full(what: &str, max: u64) -> TenancyError {
    TenancyError::state(format!("there may be {max} {what}"))
}

impl Tenancy {
    /// All rules, oldest first.
    pub async fn alert_rules(&self) -> Result<Vec<AlertRule>> {
        let rows = alert_rule::Entity::find().order_by_asc(alert_rule::Column::Id);
        let rows = rows.limit(ALERT_RULES_MAX + 100).all(self.reader()).await?;
        rows.into_iter().map(read_rule).collect()
    }

    pub async fn alert_rule(&self, rule: AlertRuleId) -> Result<AlertRule> {
        let found = alert_rule::Entity::find_by_id(rule.0).one(self.reader()).await?;
        read_rule(found.ok_or_else(|| missing("alert rule"))?)
    }

    pub async fn create_alert_rule(&self, new: NewAlertRule, by: &Actor) -> Result<AlertRule> {
        check_name(&new.name)?;
        let change = self.change(by).await?;
        if alert_rule::Entity::find().count(&change.transaction).await? >= ALERT_RULES_MAX {
            return Err(full("alert rules", ALERT_RULES_MAX));
        }
        let row = alert_rule::Model {
            id: self.ids.uuid(),
            name: new.name,
            built_in: None,
            terms: new.terms,
            severity: new.severity.word().to_owned(),
            is_enabled: new.is_enabled,
            created_at: change.at,
            updated_at: change.at,
        };
        alert_rule::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(name_taken)?;
        let rule = read_rule(row)?;
        let details = json!({"name": rule.name, "terms": rule.terms, "severity": rule.severity});
        change.commit(told(&rule.id, "alert_rule.create", details)).await?;
        Ok(rule)
    }

    /// In force with the next round.
    pub async fn update_alert_rule(
        &self,
        rule: AlertRuleId,
        patch: AlertRulePatch,
        by: &Actor,
    ) -> Result<AlertRule> {
        let change = self.change(by).await?;
        let found = alert_rule::Entity::find_by_id(rule.0).lock_exclusive();
        let found = found.one(&change.transaction).await?;
        let found = found.ok_or_else(|| missing("alert rule"))?;
        let before = read_rule(found.clone())?;
        let name = patch.name.unwrap_or_else(|| before.name.clone());
        check_name(&name)?;
        let severity = patch.severity.unwrap_or(before.severity);
        let mut row = found.into_active_model();
        row.name = Set(name);
        row.terms = Set(patch.terms.unwrap_or_else(|| before.terms.clone()));
        row.severity = Set(severity.word().to_owned());
        row.is_enabled = Set(patch.is_enabled.unwrap_or(before.is_enabled));
        row.updated_at = Set(change.at);
        let rule = read_rule(row.update(&change.transaction).await.map_err(name_taken)?)?;
        let details = json!({
            "name": rule.name,
            "terms": rule.terms,
            "terms_before": before.terms,
            "severity": rule.severity,
            "is_enabled": rule.is_enabled,
        });
        change.commit(told(&rule.id, "alert_rule.update", details)).await?;
        Ok(rule)
    }

    /// What fired by it stays to be read. A rule that is always there can only be switched off.
    pub async fn delete_alert_rule(&self, rule: AlertRuleId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let found = alert_rule::Entity::find_by_id(rule.0).one(&change.transaction).await?;
        let found = found.ok_or_else(|| missing("alert rule"))?;
        if found.built_in.is_some() {
            return Err(TenancyError::state("this rule is always there: switch it off instead"));
        }
        alert_rule::Entity::delete_by_id(rule.0).exec(&change.transaction).await?;
        change.commit(told(&rule, "alert_rule.delete", json!({"name": found.name}))).await
    }

    /// Rules that are always there: those of these names that are missing are made, others stay as
    /// somebody has changed them. For the node at its start.
    pub async fn seed_alert_rules(&self, all: &[(&str, NewAlertRule)]) -> Result<usize> {
        let known = self.alert_rules().await?;
        let known: Vec<&str> = known.iter().filter_map(|rule| rule.built_in.as_deref()).collect();
        let missing: Vec<_> = all.iter().filter(|(name, _)| !known.contains(name)).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let system = Actor::system();
        let change = self.change(&system).await?;
        for (built_in, new) in &missing {
            let row = alert_rule::Model {
                id: self.ids.uuid(),
                name: new.name.clone(),
                built_in: Some((*built_in).to_owned()),
                terms: new.terms.clone(),
                severity: new.severity.word().to_owned(),
                is_enabled: new.is_enabled,
                created_at: change.at,
                updated_at: change.at,
            };
            let once = sea_orm::sea_query::OnConflict::new().do_nothing().to_owned();
            alert_rule::Entity::insert(row.into_active_model())
                .on_conflict(once)
                .exec_without_returning(&change.transaction)
                .await?;
        }
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        let count = names.len();
        change.commit(told(&"rules", "alert_rules.seed", json!({"rules": names}))).await?;
        Ok(count)
    }

    /// All channels, oldest first.
    pub async fn alert_channels(&self) -> Result<Vec<AlertChannel>> {
        let rows = alert_channel::Entity::find().order_by_asc(alert_channel::Column::Id);
        let rows = rows.limit(ALERT_CHANNELS_MAX).all(self.reader()).await?;
        rows.into_iter().map(read_channel).collect()
    }

    pub async fn alert_channel(&self, channel: AlertChannelId) -> Result<AlertChannel> {
        let found = alert_channel::Entity::find_by_id(channel.0).one(self.reader()).await?;
        read_channel(found.ok_or_else(|| missing("alert channel"))?)
    }

    pub async fn create_alert_channel(
        &self,
        new: NewAlertChannel,
        by: &Actor,
    ) -> Result<AlertChannel> {
        check_name(&new.name)?;
        let change = self.change(by).await?;
        if alert_channel::Entity::find().count(&change.transaction).await? >= ALERT_CHANNELS_MAX {
            return Err(full("alert channels", ALERT_CHANNELS_MAX));
        }
        let row = alert_channel::Model {
            id: self.ids.uuid(),
            name: new.name,
            kind: new.kind.word().to_owned(),
            address: new.address,
            sealed: new.sealed,
            severity_min: new.severity_min.word().to_owned(),
            is_enabled: true,
            created_at: change.at,
        };
        alert_channel::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(name_taken)?;
        let made = read_channel(row)?;
        let details = json!({"name": made.name, "kind": made.kind, "address": made.address});
        change.commit(told(&made.id, "alert_channel.create", details)).await?;
        Ok(made)
    }

    /// Switches a channel on or off, or changes from which severity on it is told.
    pub async fn update_alert_channel(
        &self,
        channel: AlertChannelId,
        is_enabled: Option<bool>,
        severity_min: Option<Severity>,
        by: &Actor,
    ) -> Result<AlertChannel> {
        let change = self.change(by).await?;
        let found = alert_channel::Entity::find_by_id(channel.0).lock_exclusive();
        let found = found.one(&change.transaction).await?;
        let found = found.ok_or_else(|| missing("alert channel"))?;
        let before = read_channel(found.clone())?;
        let mut row = found.into_active_model();
        row.is_enabled = Set(is_enabled.unwrap_or(before.is_enabled));
        row.severity_min = Set(severity_min.unwrap_or(before.severity_min).word().to_owned());
        let changed = read_channel(row.update(&change.transaction).await?)?;
        let (enabled, least) = (changed.is_enabled, changed.severity_min);
        let details = json!({"is_enabled": enabled, "severity_min": least});
        change.commit(told(&changed.id, "alert_channel.update", details)).await?;
        Ok(changed)
    }

    pub async fn delete_alert_channel(&self, channel: AlertChannelId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let found = alert_channel::Entity::find_by_id(channel.0).one(&change.transaction).await?;
        let found = found.ok_or_else(|| missing("alert channel"))?;
        alert_channel::Entity::delete_by_id(channel.0).exec(&change.transaction).await?;
        change.commit(told(&channel, "alert_channel.delete", json!({"name": found.name}))).await
    }

    /// Silences that have not ended, oldest first.
    pub async fn alert_silences(&self, now: TimestampMs) -> Result<Vec<AlertSilence>> {
        let rows = alert_silence::Entity::find()
            .filter(alert_silence::Column::EndsAt.gt(now))
            .order_by_asc(alert_silence::Column::Id)
            .limit(ALERT_SILENCES_MAX)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read_silence).collect()
    }

    pub async fn create_alert_silence(
        &self,
        new: NewAlertSilence,
        by: &Actor,
    ) -> Result<AlertSilence> {
        if new.reason.trim().is_empty() || new.reason.len() > REASON_BYTES_MAX {
            return Err(TenancyError::invalid("reason", "a reason has 1 to 1000 bytes"));
        }
        let change = self.change(by).await?;
        if new.ends_at <= change.at || new.ends_at - change.at > SILENCE_MS_MAX {
            return Err(TenancyError::invalid("ends_at", "a moment within the next 366 days"));
        }
        let ended = alert_silence::Column::EndsAt.lte(change.at);
        alert_silence::Entity::delete_many().filter(ended).exec(&change.transaction).await?;
        if alert_silence::Entity::find().count(&change.transaction).await? >= ALERT_SILENCES_MAX {
            return Err(full("silences", ALERT_SILENCES_MAX));
        }
        let row = alert_silence::Model {
            id: self.ids.uuid(),
            rule_id: new.rule.map(|rule| rule.0),
            labels: json!(new.labels),
            reason: new.reason,
            actor: by.as_str().to_owned(),
            created_at: change.at,
            ends_at: new.ends_at,
        };
        alert_silence::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let made = read_silence(row)?;
        let (rule, labels, ends_at) = (made.rule, &made.labels, made.ends_at);
        let details =
            json!({"rule": rule, "labels": labels, "reason": made.reason, "ends_at": ends_at});
        change.commit(told(&made.id, "alert_silence.create", details)).await?;
        Ok(made)
    }

    pub async fn delete_alert_silence(&self, silence: AlertSilenceId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let gone = alert_silence::Entity::delete_by_id(silence.0).exec(&change.transaction).await?;
        if gone.rows_affected == 0 {
            return Err(missing("silence"));
        }
        change.commit(told(&silence, "alert_silence.delete", json!({}))).await
    }
}
