//! How far the trail has been brought to each receiver outside: the place from which shipping goes
//! on after a restart. It must not know what receivers are.

use super::natural;
use crate::entity::audit_sink as table;
use crate::{Result, Tenancy, TenancyError};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use types::TimestampMs;

/// Up to where a receiver has taken the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkPlace {
    /// The last record it has.
    pub sequence: u64,
    /// The log's offset behind that record.
    pub next_offset: u64,
    pub at: TimestampMs,
}

impl Tenancy {
    /// `None` for a receiver that has taken nothing yet; the trail is the installation's.
    pub async fn sink_place(&self, name: &str) -> Result<Option<SinkPlace>> {
        let row = table::Entity::find_by_id(name.to_owned()).one(self.reader()).await?;
        row.map(|row| {
            Ok(SinkPlace {
                sequence: natural(row.sequence)?,
                next_offset: natural(row.next_offset)?,
                at: row.at,
            })
        })
        .transpose()
    }

    /// The receiver has everything up to there. Never moves back on disk what a later call wrote:
    /// there is one shipper for each receiver.
    pub async fn move_sink(&self, name: &str, place: SinkPlace) -> Result<()> {
        let stored = |number: u64| {
            i64::try_from(number).map_err(|error| TenancyError::Corrupt(error.to_string()))
        };
        let row = table::ActiveModel {
            name: Set(name.to_owned()),
            sequence: Set(stored(place.sequence)?),
            next_offset: Set(stored(place.next_offset)?),
            at: Set(place.at),
        };
        let replace = OnConflict::column(table::Column::Name)
            .update_columns([table::Column::Sequence, table::Column::NextOffset, table::Column::At])
            .to_owned();
        let transaction = self.begin().await?;
        table::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}
