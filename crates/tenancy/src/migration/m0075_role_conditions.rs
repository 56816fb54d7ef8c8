//! Conditions of roles that somebody was given, what was noted of people that conditions ask about,
//! how sessions were proven, and in which circumstances acts were asked for and approved.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0075_role_conditions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("role_bindings", json_null("conditions")),
            // Sessions of before count as proven by a password when they were opened.
            ("sessions", boolean("is_strong").default(false).to_owned()),
            ("sessions", big_integer_null("proven_at")),
            ("approvals", json_null("asked_in")),
            ("approvals", json_null("decided_in")),
        ];
        for (table, column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        manager.create_table(attributes()).await
    }
}

fn attributes() -> TableCreateStatement {
    let of = |name: &'static str, column: &'static str, table: &'static str| {
        let mut key = ForeignKey::create().name(name).from("person_attributes", column).to_owned();
        key.to(table, "id").to_owned()
    };
    Table::create()
        .table("person_attributes")
        .col(uuid("user_id"))
        // `installation`, or the tenant's identifier: a part of the key cannot be null.
        .col(text("book"))
        .col(uuid_null("tenant_id"))
        .col(json("attributes"))
        .col(text("actor"))
        .col(big_integer("at"))
        .primary_key(Index::create().col("user_id").col("book"))
        .foreign_key(&mut of("person_attributes_user", "user_id", "users"))
        .foreign_key(&mut of("person_attributes_tenant", "tenant_id", "tenants"))
        .to_owned()
}
