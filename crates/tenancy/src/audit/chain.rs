//! The chain as the store keeps it: which record comes next, which are in the log, and the anchor
//! that stays when retention takes the oldest. Rows are the index of the trail; the log's records
//! are the trail. This file must not know the log.

use super::form::{self, AuditHash};
use super::{AuditId, AuditRecord, natural, read};
use crate::entity::{audit as table, audit_chain as chain};
use crate::page::PAGE_ITEMS_MAX;
use crate::{Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder, QuerySelect};
use types::TimestampMs;

/// There is one chain in an installation.
const NAME: &str = "main";

/// A record's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditMark {
    pub sequence: u64,
    pub hash: AuditHash,
}

/// Both ends of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEnds {
    /// The newest record with a place; number 0 when there is none.
    pub head: AuditMark,
    /// The last record that retention took from the index; number 0 when it took none.
    pub anchor: AuditMark,
    /// The newest record known to be in the log.
    pub published: u64,
}

fn stored(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

/// The chain's row, held until the transaction ends: whoever gives places waits here for others.
async fn locked(transaction: &DatabaseTransaction) -> Result<chain::Model> {
    let fresh = chain::ActiveModel {
        name: Set(NAME.to_owned()),
        sequence: Set(0),
        hash: Set(AuditHash::NONE.0.to_vec()),
        anchor_sequence: Set(0),
        anchor_hash: Set(AuditHash::NONE.0.to_vec()),
    };
    let once = OnConflict::column(chain::Column::Name).do_nothing().to_owned();
    chain::Entity::insert(fresh).on_conflict(once).exec_without_returning(transaction).await?;
    let found = chain::Entity::find_by_id(NAME.to_owned()).lock_exclusive();
    let found = found.one(transaction).await?;
    found.ok_or_else(|| TenancyError::Corrupt("the trail's chain has no row".to_owned()))
}

async fn move_head(transaction: &DatabaseTransaction, head: AuditMark) -> Result<()> {
    chain::Entity::update_many()
        .col_expr(chain::Column::Sequence, Expr::value(stored(head.sequence)?))
        .col_expr(chain::Column::Hash, Expr::value(head.hash.0.to_vec()))
        .filter(chain::Column::Name.eq(NAME))
        .exec(transaction)
        .await?;
    Ok(())
}

fn mark(sequence: i64, hash: &[u8]) -> Result<AuditMark> {
    Ok(AuditMark { sequence: natural(sequence)?, hash: AuditHash::read(hash)? })
}

impl Tenancy {
    /// Gives records that have none their places in the chain, oldest first, at most `limit`, and
    /// answers how many; for the node's worker only.
    pub async fn seal_audit(&self, limit: usize) -> Result<usize> {
        let waiting = table::Entity::find().filter(table::Column::Sequence.is_null());
        if waiting.clone().limit(1).one(self.reader()).await?.is_none() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        let row = locked(&transaction).await?;
        let mut head = mark(row.sequence, &row.hash)?;
        let rows = waiting
            .order_by_asc(table::Column::Id)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(&transaction)
            .await?;
        let count = rows.len();
        for row in rows {
            let record = read(row)?;
            let link = form::link(&record, head.sequence + 1, head.hash);
            table::Entity::update_many()
                .col_expr(table::Column::Sequence, Expr::value(stored(link.sequence)?))
                .col_expr(table::Column::Previous, Expr::value(link.previous.0.to_vec()))
                .col_expr(table::Column::Hash, Expr::value(link.hash.0.to_vec()))
                .filter(table::Column::Id.eq(record.id.0))
                .exec(&transaction)
                .await?;
            head = AuditMark { sequence: link.sequence, hash: link.hash };
        }
        move_head(&transaction, head).await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Records with a place that are not known to be in the log, in order; for the node's worker
    /// only.
    pub async fn unpublished_audit(&self, limit: usize) -> Result<Vec<AuditRecord>> {
        let rows = table::Entity::find()
            .filter(table::Column::PublishedAt.is_null())
            .filter(table::Column::Sequence.is_not_null())
            .order_by_asc(table::Column::Sequence)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// These records are in the log at these offsets; for the node's worker only.
    pub async fn mark_audit_published(&self, placed: &[(AuditId, u64)]) -> Result<()> {
        let transaction = self.begin().await?;
        for (id, offset) in placed {
            table::Entity::update_many()
                .col_expr(table::Column::PublishedAt, Expr::value(self.ids.now_ms()))
                .col_expr(table::Column::LogOffset, Expr::value(stored(*offset)?))
                .filter(table::Column::Id.eq(id.0))
                .exec(&transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Both ends of the installation's chain.
    pub async fn audit_ends(&self) -> Result<AuditEnds> {
        let none = AuditMark { sequence: 0, hash: AuditHash::NONE };
        let found = chain::Entity::find_by_id(NAME.to_owned()).one(self.reader()).await?;
        let (head, anchor) = match found {
            None => (none, none),
            Some(row) => {
                (mark(row.sequence, &row.hash)?, mark(row.anchor_sequence, &row.anchor_hash)?)
            }
        };
        let newest = table::Entity::find()
            .filter(table::Column::PublishedAt.is_not_null())
            .filter(table::Column::Sequence.is_not_null())
            .order_by_desc(table::Column::Sequence)
            .one(self.reader())
            .await?;
        let published = newest.and_then(|row| row.sequence).unwrap_or(0);
        Ok(AuditEnds { head, anchor, published: natural(published)? })
    }

    /// Everybody's records with these numbers as the index has them, in order; for the check of the
    /// chain and for what leaves the installation.
    pub async fn audit_links(&self, from: u64, to: u64, limit: usize) -> Result<Vec<AuditRecord>> {
        let rows = table::Entity::find()
            .filter(table::Column::Sequence.between(stored(from)?, stored(to)?))
            .order_by_asc(table::Column::Sequence)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// Where in the log the record with this number lies, if the index knows.
    pub async fn audit_offset(&self, sequence: u64) -> Result<Option<u64>> {
        let row = table::Entity::find()
            .filter(table::Column::Sequence.eq(stored(sequence)?))
            .one(self.reader())
            .await?;
        row.and_then(|row| row.log_offset).map(natural).transpose()
    }

    /// The log has these records behind the newest that the store knows: a store that was restored
    /// to an earlier moment learns of them, and the chain goes on behind the last. In order; for
    /// the node's worker only.
    pub async fn adopt_audit(&self, records: &[(AuditRecord, u64)]) -> Result<()> {
        let transaction = self.begin().await?;
        let row = locked(&transaction).await?;
        let mut head = mark(row.sequence, &row.hash)?;
        for (record, offset) in records {
            let Some(link) = record.link.filter(|link| link.sequence > head.sequence) else {
                continue;
            };
            table::Entity::delete_by_id(record.id.0).exec(&transaction).await?;
            let row = table::ActiveModel {
                id: Set(record.id.0),
                tenant_id: Set(record.tenant.map(|id| id.0)),
                project_id: Set(record.project.map(|id| id.0)),
                actor: Set(record.actor.clone()),
                action: Set(record.action.clone()),
                target: Set(record.target.clone()),
                details: Set(record.details.clone()),
                at: Set(record.at),
                outcome: Set(record.outcome.name().to_owned()),
                address: Set(record.address.clone()),
                request: Set(record.request.clone()),
                count: Set(stored(record.count)?),
                sequence: Set(Some(stored(link.sequence)?)),
                previous: Set(Some(link.previous.0.to_vec())),
                hash: Set(Some(link.hash.0.to_vec())),
                published_at: Set(Some(self.ids.now_ms())),
                log_offset: Set(Some(stored(*offset)?)),
            };
            table::Entity::insert(row).exec_without_returning(&transaction).await?;
            head = AuditMark { sequence: link.sequence, hash: link.hash };
        }
        move_head(&transaction, head).await?;
        Ok(transaction.commit().await?)
    }

    /// The log ends before what the store took for published, as after it was restored to an
    /// earlier moment: what is above `sequence` is to be brought to it again. Answers how many; for
    /// the node's worker only.
    pub async fn unpublish_audit(&self, sequence: u64) -> Result<u64> {
        let transaction = self.begin().await?;
        let none: Option<i64> = None;
        let done = table::Entity::update_many()
            .col_expr(table::Column::PublishedAt, Expr::value(none))
            .col_expr(table::Column::LogOffset, Expr::value(none))
            .filter(table::Column::Sequence.gt(stored(sequence)?))
            .filter(table::Column::PublishedAt.is_not_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected)
    }

    /// Drops the oldest records that were written before `before` and are in the log, at most
    /// `limit`; the last of them stays as the chain's anchor. Answers how many; for the node's
    /// worker only.
    pub async fn sweep_audit(&self, before: TimestampMs, limit: usize) -> Result<u64> {
        let oldest = table::Entity::find()
            .filter(table::Column::Sequence.is_not_null())
            .order_by_asc(table::Column::Sequence)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        let is_over = |row: &table::Model| row.at < before && row.published_at.is_some();
        let Some(last) = oldest.into_iter().take_while(is_over).last() else { return Ok(0) };
        let (Some(sequence), Some(hash)) = (last.sequence, last.hash) else { return Ok(0) };
        let transaction = self.begin().await?;
        locked(&transaction).await?;
        chain::Entity::update_many()
            .col_expr(chain::Column::AnchorSequence, Expr::value(sequence))
            .col_expr(chain::Column::AnchorHash, Expr::value(hash))
            .filter(chain::Column::Name.eq(NAME))
            .exec(&transaction)
            .await?;
        let gone = table::Entity::delete_many()
            .filter(table::Column::Sequence.lte(sequence))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected)
    }

    /// How many of everybody's records are not in the log yet, for the node's metrics only.
    pub async fn audit_backlog(&self) -> Result<u64> {
        let waiting = table::Entity::find().filter(table::Column::PublishedAt.is_null());
        Ok(waiting.count(self.reader()).await?)
    }
}
