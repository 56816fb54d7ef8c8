//! Which offsets of the log are in the usage windows. No foreign keys: what a deleted topic or
//! project used is still owed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0010_metering"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [writers(), marks(), ranges()] {
            manager.create_table(table).await?;
        }
        let of_tenant = Index::create()
            .name("usage_ranges_tenant")
            .table("usage_ranges")
            .col("tenant_id")
            .col("window_start")
            .to_owned();
        manager.create_index(of_tenant).await
    }
}

/// How far each process has written: a write that is tried again is known by its number.
fn writers() -> TableCreateStatement {
    Table::create()
        .table("usage_writers")
        .col(pk_uuid("writer"))
        .col(big_integer("sequence"))
        .col(big_integer("at"))
        .to_owned()
}

fn marks() -> TableCreateStatement {
    Table::create()
        .table("usage_marks")
        .col(big_integer("topic_id"))
        .col(big_integer("partition"))
        .col(big_integer("next_offset"))
        .col(big_integer("at"))
        .primary_key(Index::create().col("topic_id").col("partition"))
        .to_owned()
}

fn ranges() -> TableCreateStatement {
    Table::create()
        .table("usage_ranges")
        .col(big_integer("topic_id"))
        .col(big_integer("partition"))
        .col(big_integer("window_start"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(big_integer("from_offset"))
        .col(big_integer("to_offset"))
        .col(big_integer("records"))
        .col(big_integer("bytes"))
        .primary_key(Index::create().col("topic_id").col("partition").col("window_start"))
        .to_owned()
}
