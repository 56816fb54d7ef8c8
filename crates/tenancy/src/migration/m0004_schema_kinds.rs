//! Schemas may be of several languages: each version says of which one it is.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_schema_kinds"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What was there before could only be JSON Schema.
        let kind = ColumnDef::new("kind").text().not_null().default("json_schema").to_owned();
        let table = Table::alter().table("topic_schemas").add_column(kind).to_owned();
        manager.alter_table(table).await
    }
}
