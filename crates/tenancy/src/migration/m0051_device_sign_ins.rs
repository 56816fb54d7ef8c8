//! Devices without a browser that wait for somebody to confirm them (RFC 8628).

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0051_device_sign_ins"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(device_sign_ins()).await?;
        let by_end = Index::create()
            .name("device_sign_ins_expires_at")
            .table("device_sign_ins")
            .col("expires_at")
            .to_owned();
        manager.create_index(by_end).await
    }
}

fn device_sign_ins() -> TableCreateStatement {
    let mut of_user = ForeignKey::create();
    of_user.name("device_sign_ins_user").from("device_sign_ins", "user_id").to("users", "id");
    Table::create()
        .table("device_sign_ins")
        .col(pk_uuid("id"))
        .col(text("user_code").unique_key().to_owned())
        .col(blob("secret_hash"))
        .col(blob("device_hash"))
        .col(text("device_name"))
        .col(text("address"))
        .col(text("state"))
        .col(uuid_null("user_id"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .col(big_integer_null("asked_at"))
        .foreign_key(&mut of_user)
        .to_owned()
}
