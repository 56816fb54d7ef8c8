//! Findings of the security checks that somebody accepts until a day.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0080_accepted_findings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(accepted_findings()).await
    }
}

fn accepted_findings() -> TableCreateStatement {
    Table::create()
        .table("accepted_findings")
        .col(pk_uuid("id"))
        .col(text("finding").unique_key().to_owned())
        .col(uuid_null("tenant_id"))
        .col(uuid_null("project_id"))
        .col(text("reason"))
        .col(text("actor"))
        .col(big_integer("at"))
        .col(big_integer("until"))
        .to_owned()
}
