//! Alerts themselves, from pending to resolved, and the notices of them that are on their way. Not
//! administrative: none of it is in the audit trail, whose records are what some of it is about.

use super::{AlertChannelId, AlertRuleId, Severity};
use crate::entity::{alert as table, alert_notice as notice};
use crate::ids::record_id;
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::tenants::Word;
use crate::{Page, Result, Tenancy, TenancyError};
use sea_orm::ActiveValue::Set;
use sea_orm::ExprTrait;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use types::TimestampMs;

/// Alerts that are open at the same time; a rule that makes more has labels it should not have.
pub const ALERTS_OPEN_MAX: usize = 1_000;

record_id!(
    /// One alert, from when its condition was first met until it was no more.
    AlertId,
    "alt_"
);
record_id!(
    /// One message to one channel.
    AlertNoticeId,
    "aln_"
);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Its condition is met, not for long enough.
    Pending,
    Firing,
    Resolved,
}

impl Word for AlertState {
    const ALL: &'static [(AlertState, &'static str)] = &[
        (AlertState::Pending, "pending"),
        (AlertState::Firing, "firing"),
        (AlertState::Resolved, "resolved"),
    ];
}

impl AlertState {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    pub rule: AlertRuleId,
    /// The rule's name at that time.
    pub name: String,
    pub severity: Severity,
    pub labels: BTreeMap<String, String>,
    pub summary: String,
    pub state: AlertState,
    /// What was measured last.
    pub value: f64,
    pub started_at: TimestampMs,
    pub fired_at: Option<TimestampMs>,
    /// When the condition was last met.
    pub seen_at: TimestampMs,
    pub resolved_at: Option<TimestampMs>,
    /// When people were last told.
    pub notified_at: Option<TimestampMs>,
}

/// A message to be brought.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlertNotice {
    pub alert: Option<AlertId>,
    pub channel: AlertChannelId,
    /// `firing`, `repeat`, `resolved` or `test`.
    pub kind: String,
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertNotice {
    pub id: AlertNoticeId,
    pub alert: Option<AlertId>,
    pub channel: AlertChannelId,
    pub kind: String,
    pub body: Value,
    pub attempts: u32,
    pub next_at: TimestampMs,
    pub ended_at: Option<TimestampMs>,
    /// `sent` or `given_up`, once it has ended.
    pub outcome: Option<String>,
    pub error: Option<String>,
    pub created_at: TimestampMs,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    Sent,
    Wait { next_at: TimestampMs, error: String },
    GivenUp { error: String },
}

fn read(row: table::Model) -> Result<Alert> {
    Ok(Alert {
        id: AlertId(row.id),
        rule: AlertRuleId(row.rule_id),
        name: row.name,
        severity: Severity::read(&row.severity)?,
        labels: serde_json::from_value(row.labels)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        summary: row.summary,
        state: AlertState::read(&row.state)?,
        value: row.value,
        started_at: row.started_at,
        fired_at: row.fired_at,
        seen_at: row.seen_at,
        resolved_at: row.resolved_at,
        notified_at: row.notified_at,
    })
}

fn read_notice(row: notice::Model) -> Result<AlertNotice> {
    Ok(AlertNotice {
        id: AlertNoticeId(row.id),
        alert: row.alert_id.map(AlertId),
        channel: AlertChannelId(row.channel_id),
        kind: row.kind,
        body: row.body,
        attempts: u32::try_from(row.attempts)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        next_at: row.next_at,
        ended_at: row.ended_at,
        outcome: row.outcome,
        error: row.error,
        created_at: row.created_at,
    })
}

fn stored(alert: &Alert) -> table::ActiveModel {
    table::Model {
        id: alert.id.0,
        rule_id: alert.rule.0,
        fingerprint: crate::canonical(&json!(alert.labels)),
        name: alert.name.clone(),
        severity: alert.severity.word().to_owned(),
        labels: json!(alert.labels),
        summary: alert.summary.clone(),
        state: alert.state.word().to_owned(),
        value: if alert.value.is_finite() { alert.value } else { 0.0 },
        started_at: alert.started_at,
        fired_at: alert.fired_at,
        seen_at: alert.seen_at,
        resolved_at: alert.resolved_at,
        notified_at: alert.notified_at,
    }
    .into_active_model()
    .reset_all()
}

impl Tenancy {
    /// A number for an alert that begins.
    pub fn new_alert_id(&self) -> AlertId {
        AlertId(self.ids.uuid())
    }

    /// Alerts that are pending or firing, oldest first.
    pub async fn open_alerts(&self) -> Result<Vec<Alert>> {
        let rows = table::Entity::find()
            .filter(table::Column::State.ne(AlertState::Resolved.word()))
            .order_by_asc(table::Column::Id)
            .limit(ALERTS_OPEN_MAX as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// Alerts newest first, also those that are over.
    pub async fn alerts(
        &self,
        state: Option<AlertState>,
        rule: Option<AlertRuleId>,
        before: Option<AlertId>,
        limit: usize,
    ) -> Result<Page<Alert>> {
        let mut rows = table::Entity::find();
        if let Some(state) = state {
            rows = rows.filter(table::Column::State.eq(state.word()));
        }
        if let Some(rule) = rule {
            rows = rows.filter(table::Column::RuleId.eq(rule.0));
        }
        if let Some(before) = before {
            rows = rows.filter(table::Column::Id.lt(before.0));
        }
        let rows = rows.order_by_desc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// One round's outcome: alerts as they are now, those that never fired and are over, and what
    /// people are to be told, all or nothing.
    pub async fn move_alerts(
        &self,
        changed: &[Alert],
        gone: &[AlertId],
        notices: &[NewAlertNotice],
    ) -> Result<()> {
        if changed.is_empty() && gone.is_empty() && notices.is_empty() {
            return Ok(());
        }
        let transaction = self.begin().await?;
        for alert in changed {
            let mut replace = OnConflict::column(table::Column::Id);
            replace.update_columns([
                table::Column::Name,
                table::Column::Severity,
                table::Column::Summary,
                table::Column::State,
                table::Column::Value,
                table::Column::FiredAt,
                table::Column::SeenAt,
                table::Column::ResolvedAt,
                table::Column::NotifiedAt,
            ]);
            table::Entity::insert(stored(alert))
                .on_conflict(replace)
                .exec_without_returning(&transaction)
                .await?;
        }
        for alert in gone {
            table::Entity::delete_by_id(alert.0).exec(&transaction).await?;
        }
        let now = self.ids.now_ms();
        for new in notices {
            let row = notice::ActiveModel {
                id: Set(self.ids.uuid()),
                alert_id: Set(new.alert.map(|id| id.0)),
                channel_id: Set(new.channel.0),
                kind: Set(new.kind.clone()),
                body: Set(new.body.clone()),
                attempts: Set(0),
                next_at: Set(now),
                created_at: Set(now),
                ..Default::default()
            };
            notice::Entity::insert(row).exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Notices whose time has come, oldest first.
    pub async fn alert_notices_due(
        &self,
        now: TimestampMs,
        limit: usize,
    ) -> Result<Vec<AlertNotice>> {
        let rows = notice::Entity::find()
            .filter(notice::Column::EndedAt.is_null())
            .filter(notice::Column::NextAt.lte(now))
            .order_by_asc(notice::Column::Id)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read_notice).collect()
    }

    /// The newest notices, also those that have ended.
    pub async fn alert_notices(
        &self,
        before: Option<AlertNoticeId>,
        limit: usize,
    ) -> Result<Page<AlertNotice>> {
        let mut rows = notice::Entity::find();
        if let Some(before) = before {
            rows = rows.filter(notice::Column::Id.lt(before.0));
        }
        let rows = rows.order_by_desc(notice::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read_notice)
    }

    /// Writes down what came of an attempt.
    pub async fn end_alert_notice(&self, id: AlertNoticeId, outcome: &NoticeOutcome) -> Result<()> {
        let now = self.ids.now_ms();
        let attempts = Expr::col(notice::Column::Attempts).add(1);
        let update = notice::Entity::update_many().col_expr(notice::Column::Attempts, attempts);
        let update = match outcome {
            NoticeOutcome::Sent => update
                .col_expr(notice::Column::EndedAt, Expr::value(now))
                .col_expr(notice::Column::Outcome, Expr::value("sent")),
            NoticeOutcome::Wait { next_at, error } => update
                .col_expr(notice::Column::NextAt, Expr::value(*next_at))
                .col_expr(notice::Column::Error, Expr::value(error.as_str())),
            NoticeOutcome::GivenUp { error } => update
                .col_expr(notice::Column::EndedAt, Expr::value(now))
                .col_expr(notice::Column::Outcome, Expr::value("given_up"))
                .col_expr(notice::Column::Error, Expr::value(error.as_str())),
        };
        let transaction = self.begin().await?;
        update.filter(notice::Column::Id.eq(id.0)).exec(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Drops alerts that were resolved, and notices that ended, before `before`. For the node's
    /// worker only.
    pub async fn sweep_alerts(&self, before: TimestampMs) -> Result<u64> {
        let transaction = self.begin().await?;
        let alerts = table::Entity::delete_many()
            .filter(table::Column::ResolvedAt.lt(before))
            .exec(&transaction)
            .await?;
        let notices = notice::Entity::delete_many()
            .filter(notice::Column::EndedAt.lt(before))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(alerts.rows_affected + notices.rows_affected)
    }
}
