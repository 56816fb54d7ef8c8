//! Plans of the operator's own, what a tenant's standing with money is, budgets, and which warnings
//! were given. Notices have no foreign key: they outlive nothing that could be billed again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0011_plans"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for table in [plans(backend), accounts(), budgets(), notices()] {
            manager.create_table(table).await?;
        }
        let of_tenant = Index::create()
            .name("budgets_tenant")
            .table("budgets")
            .col("tenant_id")
            .col("id")
            .to_owned();
        manager.create_index(of_tenant).await?;
        for (name, column) in
            [("accounts_trial", "trial_ends_at"), ("accounts_grace", "grace_ends_at")]
        {
            let due = Index::create().name(name).table("accounts").col(column).to_owned();
            manager.create_index(due).await?;
        }
        Ok(())
    }
}

/// Sorted by bytes whatever the database's locale is.
fn plans(backend: sea_orm::DbBackend) -> TableCreateStatement {
    let mut name = ColumnDef::new("name").text().not_null().primary_key().to_owned();
    if backend == sea_orm::DbBackend::Postgres {
        name.extra("COLLATE \"C\"");
    }
    Table::create()
        .table("plans")
        .col(name)
        .col(text("title"))
        .col(json("terms"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .col(big_integer_null("archived_at"))
        .to_owned()
}

fn accounts() -> TableCreateStatement {
    Table::create()
        .table("accounts")
        .col(pk_uuid("tenant_id"))
        .col(big_integer_null("trial_ends_at"))
        .col(big_integer_null("past_due_at"))
        .col(big_integer_null("grace_ends_at"))
        .col(boolean("is_suspended_unpaid"))
        .col(text_null("stop_reason"))
        .col(big_integer_null("stop_until"))
        .col(text_null("stripe_subscription_id"))
        .col(text_null("stripe_status"))
        .col(big_integer_null("stripe_event_at"))
        .col(big_integer_null("billed_from"))
        .foreign_key(
            ForeignKey::create()
                .name("accounts_tenant")
                .from("accounts", "tenant_id")
                .to("tenants", "id"),
        )
        .to_owned()
}

fn budgets() -> TableCreateStatement {
    Table::create()
        .table("budgets")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(text("name"))
        .col(text_null("metric"))
        .col(big_integer("amount"))
        .col(text("action"))
        .col(big_integer("created_at"))
        .foreign_key(
            ForeignKey::create()
                .name("budgets_of_tenant")
                .from("budgets", "tenant_id")
                .to("tenants", "id"),
        )
        .to_owned()
}

fn notices() -> TableCreateStatement {
    Table::create()
        .table("usage_notices")
        .col(uuid("tenant_id"))
        .col(big_integer("period_start"))
        .col(text("subject"))
        .col(big_integer("at"))
        .primary_key(Index::create().col("tenant_id").col("period_start").col("subject"))
        .to_owned()
}
