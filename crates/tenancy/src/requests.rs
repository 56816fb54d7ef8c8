//! Answers to administrative requests that carried an idempotency key, so that a repeated request
//! is answered and not carried out again, across restarts.

use crate::entity::request as table;
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QuerySelect};
use serde_json::Value;

/// How long an answer is kept.
const ANSWER_AGE_MS_MAX: i64 = 24 * 3_600_000;
/// A request that was not answered so long after its start died with its process.
const CLAIM_AGE_MS_MAX: i64 = 60_000;
/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    /// HTTP status of the first answer.
    pub status: u16,
    /// Its body without secrets, which the caller has taken out.
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RequestClaim {
    /// Carry it out, then call `answer_request` or `release_request`.
    Fresh,
    /// It was carried out before.
    Answered(StoredAnswer),
    /// The same request is being carried out at this moment.
    Busy,
}

fn at_key(actor: &Actor, key: &str) -> Select<table::Entity> {
    table::Entity::find_by_id((actor.as_str().to_owned(), key.to_owned()))
}

impl Tenancy {
    /// Claims the actor's idempotency key for a request of this fingerprint. Belongs to the actor,
    /// not to a tenant. A key used with another fingerprint is refused.
    pub async fn claim_request(
        &self,
        by: &Actor,
        key: &str,
        fingerprint: &[u8],
    ) -> Result<RequestClaim> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let rule = "an idempotency key has 1 to 255 bytes";
            return Err(TenancyError::invalid("Idempotency-Key", rule));
        }
        let now = self.ids.now_ms();
        let transaction = self.begin().await?;
        table::Entity::delete_many()
            .filter(table::Column::ClaimedAt.lt(now - ANSWER_AGE_MS_MAX))
            .exec(&transaction)
            .await?;
        let row = table::ActiveModel {
            actor: Set(by.as_str().to_owned()),
            idempotency_key: Set(key.to_owned()),
            fingerprint: Set(fingerprint.to_vec()),
            claimed_at: Set(now),
            status: Set(None),
            answer: Set(None),
        };
        let mut skip = OnConflict::columns([table::Column::Actor, table::Column::IdempotencyKey]);
        skip.do_nothing();
        let inserted = table::Entity::insert(row.clone())
            .on_conflict(skip)
            .exec_without_returning(&transaction)
            .await?;
        if inserted > 0 {
            transaction.commit().await?;
            return Ok(RequestClaim::Fresh);
        }
        let found = at_key(by, key).lock_exclusive().one(&transaction).await?;
        let found = found.ok_or_else(|| TenancyError::state("the first request was undone"))?;
        if found.fingerprint != fingerprint {
            return Err(TenancyError::RequestReused);
        }
        if let (Some(status), Some(body)) = (found.status, found.answer) {
            let status = u16::try_from(status);
            let status = status.map_err(|error| TenancyError::Corrupt(error.to_string()))?;
            return Ok(RequestClaim::Answered(StoredAnswer { status, body }));
        }
        if now - found.claimed_at < CLAIM_AGE_MS_MAX {
            return Ok(RequestClaim::Busy);
        }
        row.update(&transaction).await?;
        transaction.commit().await?;
        Ok(RequestClaim::Fresh)
    }

    /// Keeps the answer of a claimed request. Belongs to the actor, not to a tenant.
    pub async fn answer_request(&self, by: &Actor, key: &str, answer: StoredAnswer) -> Result<()> {
        let transaction = self.begin().await?;
        let row = table::ActiveModel {
            actor: Set(by.as_str().to_owned()),
            idempotency_key: Set(key.to_owned()),
            status: Set(Some(i64::from(answer.status))),
            answer: Set(Some(answer.body)),
            ..Default::default()
        };
        row.update(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a claim up: the request changed nothing and may come again. Belongs to the actor, not
    /// to a tenant.
    pub async fn release_request(&self, by: &Actor, key: &str) -> Result<()> {
        let transaction = self.begin().await?;
        table::Entity::delete_by_id((by.as_str().to_owned(), key.to_owned()))
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}
