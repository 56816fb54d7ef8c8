//! A user's second factor: the sealed secret that his telephone has too, how far it was used, and
//! the recovery codes in case the telephone is lost. This file cannot open what it keeps.

use crate::audit::Change;
use crate::entity::{recovery_code, second_factor as table};
use crate::users::{entry, locked};
use crate::{Actor, Result, Tenancy, TenancyError, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel};
use serde_json::json;

#[derive(Clone)]
pub struct SecondFactor {
    pub sealed: Vec<u8>,
    /// Asked for when signing in; until then it only waits to be confirmed.
    pub is_confirmed: bool,
}

fn missing() -> TenancyError {
    TenancyError::state("there is no second factor")
}

impl Tenancy {
    /// A new secret that waits to be confirmed. Refused while one is in use.
    pub async fn start_second_factor(&self, user: UserId, sealed: &[u8], by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, user).await?;
        let found = table::Entity::find_by_id(user.0).one(&change.transaction).await?;
        if found.is_some_and(|found| found.confirmed_at.is_some()) {
            return Err(TenancyError::state("there is a second factor: remove it first"));
        }
        table::Entity::delete_by_id(user.0).exec(&change.transaction).await?;
        let row = table::Model {
            user_id: user.0,
            sealed: sealed.to_vec(),
            created_at: change.at,
            confirmed_at: None,
            step: 0,
        };
        table::Entity::insert(row.into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        change.commit(entry(&user, "second_factor.start", json!({}))).await
    }

    /// Of this user, if he has one.
    pub async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>> {
        let found = table::Entity::find_by_id(user.0).one(self.reader()).await?;
        Ok(found.map(|row| SecondFactor {
            is_confirmed: row.confirmed_at.is_some(),
            sealed: row.sealed,
        }))
    }

    /// From now on it is asked for. The recovery codes of before count no more.
    pub async fn confirm_second_factor(
        &self,
        user: UserId,
        step: i64,
        code_hashes: &[Vec<u8>],
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, user).await?;
        let found = table::Entity::find_by_id(user.0).one(&change.transaction).await?;
        let mut row = found.ok_or_else(missing)?.into_active_model();
        row.confirmed_at = Set(Some(change.at));
        row.step = Set(step);
        row.update(&change.transaction).await?;
        delete_codes(&change, user).await?;
        let codes = code_hashes.iter().map(|hash| recovery_code::ActiveModel {
            user_id: Set(user.0),
            hash: Set(hash.clone()),
        });
        recovery_code::Entity::insert_many(codes)
            .exec_without_returning(&change.transaction)
            .await?;
        let details = json!({"recovery_codes": code_hashes.len()});
        change.commit(entry(&user, "second_factor.confirm", details)).await
    }

    /// Uses up the code of this step of time. `false`: it, or a later one, was used before.
    pub async fn use_step(&self, user: UserId, step: i64) -> Result<bool> {
        let transaction = self.begin().await?;
        let used = table::Entity::update_many()
            .col_expr(table::Column::Step, Expr::value(step))
            .filter(table::Column::UserId.eq(user.0))
            .filter(table::Column::Step.lt(step))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(used.rows_affected > 0)
    }

    /// Uses a recovery code up. `false`: it is none, or was used.
    pub async fn use_recovery_code(&self, user: UserId, hash: &[u8], by: &Actor) -> Result<bool> {
        let change = self.change(by).await?;
        let used = recovery_code::Entity::delete_by_id((user.0, hash.to_vec()))
            .exec(&change.transaction)
            .await?;
        if used.rows_affected == 0 {
            return Ok(false);
        }
        let left = recovery_code::Entity::find()
            .filter(recovery_code::Column::UserId.eq(user.0))
            .count(&change.transaction)
            .await?;
        change.commit(entry(&user, "second_factor.recover", json!({"codes_left": left}))).await?;
        Ok(true)
    }

    /// Back to the password alone.
    pub async fn remove_second_factor(&self, user: UserId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, user).await?;
        let gone = table::Entity::delete_by_id(user.0).exec(&change.transaction).await?;
        if gone.rows_affected == 0 {
            return Err(missing());
        }
        delete_codes(&change, user).await?;
        change.commit(entry(&user, "second_factor.remove", json!({}))).await
    }

    pub(crate) async fn delete_second_factor_of(
        &self,
        change: &Change<'_>,
        user: UserId,
    ) -> Result<()> {
        table::Entity::delete_by_id(user.0).exec(&change.transaction).await?;
        delete_codes(change, user).await
    }
}

async fn delete_codes(change: &Change<'_>, user: UserId) -> Result<()> {
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(user.0))
        .exec(&change.transaction)
        .await?;
    Ok(())
}
