//! What people prove themselves with besides a password: one-time tokens that were mailed to them,
//! a second factor, recovery codes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_proofs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [mail_tokens(), second_factors(), recovery_codes()] {
            manager.create_table(table).await?;
        }
        let by_user = Index::create()
            .name("mail_tokens_user_id")
            .table("mail_tokens")
            .col("user_id")
            .col("kind")
            .to_owned();
        manager.create_index(by_user).await
    }
}

fn of_user(name: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(name).from(table, "user_id").to("users", "id").to_owned()
}

fn mail_tokens() -> TableCreateStatement {
    Table::create()
        .table("mail_tokens")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("kind"))
        .col(blob("hash"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .foreign_key(&mut of_user("mail_tokens_user", "mail_tokens"))
        .to_owned()
}

fn second_factors() -> TableCreateStatement {
    Table::create()
        .table("second_factors")
        .col(pk_uuid("user_id"))
        .col(blob("sealed"))
        .col(big_integer("created_at"))
        .col(big_integer_null("confirmed_at"))
        .col(big_integer("step"))
        .foreign_key(&mut of_user("second_factors_user", "second_factors"))
        .to_owned()
}

fn recovery_codes() -> TableCreateStatement {
    Table::create()
        .table("recovery_codes")
        .col(uuid("user_id"))
        .col(blob("hash"))
        .primary_key(Index::create().col("user_id").col("hash"))
        .foreign_key(&mut of_user("recovery_codes_user", "recovery_codes"))
        .to_owned()
}
