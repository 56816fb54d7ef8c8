//! Access lists of the installation, of tenants and of projects, every version of each. No foreign
//! keys: one table for three kinds of owners, whose lists go when they are deleted.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0020_access_lists"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let lists = Table::create()
            .table("access_lists")
            .col(text("owner"))
            .col(big_integer("version"))
            .col(uuid_null("tenant_id"))
            .col(uuid_null("project_id"))
            .col(json_null("list"))
            .col(big_integer("entries"))
            .col(text("actor"))
            .col(text("note"))
            .col(big_integer("at"))
            .primary_key(Index::create().col("owner").col("version"))
            .to_owned();
        manager.create_table(lists).await
    }
}
