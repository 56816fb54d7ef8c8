//! Passkeys of users, and the challenges that were answered with them: each counts once.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0050_passkeys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(passkeys()).await?;
        manager.create_table(spent_challenges()).await?;
        let by_user =
            Index::create().name("passkeys_user_id").table("passkeys").col("user_id").to_owned();
        manager.create_index(by_user).await?;
        let by_end = Index::create()
            .name("spent_challenges_expires_at")
            .table("spent_challenges")
            .col("expires_at")
            .to_owned();
        manager.create_index(by_end).await
    }
}

fn passkeys() -> TableCreateStatement {
    let mut of_user = ForeignKey::create();
    of_user.name("passkeys_user").from("passkeys", "user_id").to("users", "id");
    Table::create()
        .table("passkeys")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(blob("credential_id").unique_key().to_owned())
        .col(blob("public_key"))
        .col(text("transports"))
        .col(big_integer("count"))
        .col(boolean("is_synced"))
        .col(big_integer("created_at"))
        .col(big_integer_null("used_at"))
        .foreign_key(&mut of_user)
        .to_owned()
}

fn spent_challenges() -> TableCreateStatement {
    Table::create()
        .table("spent_challenges")
        .col(blob("hash").primary_key().to_owned())
        .col(big_integer("expires_at"))
        .to_owned()
}
