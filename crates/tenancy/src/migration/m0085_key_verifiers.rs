//! What API keys can be proven by without being shown (SCRAM, RFC 5802). Keys of before have none
//! until they are shown once more.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0085_key_verifiers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = blob_null("verifier");
        manager.alter_table(Table::alter().table("api_keys").add_column(column).to_owned()).await
    }
}
