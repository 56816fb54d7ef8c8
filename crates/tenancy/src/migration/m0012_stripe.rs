//! What is on its way to Stripe, and which of its events were taken. No foreign keys: what a
//! deleted tenant used is still to be billed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0012_stripe"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [reports(), events()] {
            manager.create_table(table).await?;
        }
        let due = Index::create()
            .name("meter_reports_due")
            .table("meter_reports")
            .col("state")
            .col("next_at")
            .to_owned();
        manager.create_index(due).await?;
        let customers = Index::create()
            .name("tenants_stripe_customer")
            .table("tenants")
            .col("stripe_customer_id")
            .to_owned();
        manager.create_index(customers).await
    }
}

fn reports() -> TableCreateStatement {
    Table::create()
        .table("meter_reports")
        .col(ColumnDef::new("identifier").text().not_null().primary_key())
        .col(uuid("tenant_id"))
        .col(text("metric"))
        .col(big_integer("window_start"))
        .col(big_integer("part"))
        .col(big_integer("quantity"))
        .col(text("state"))
        .col(big_integer("attempts"))
        .col(big_integer("certain_attempts"))
        .col(big_integer_null("uncertain_at"))
        .col(big_integer("next_at"))
        .col(big_integer_null("sent_at"))
        .col(text_null("error"))
        .col(big_integer("created_at"))
        .index(
            Index::create()
                .name("meter_reports_part")
                .unique()
                .col("tenant_id")
                .col("metric")
                .col("window_start")
                .col("part"),
        )
        .to_owned()
}

fn events() -> TableCreateStatement {
    Table::create()
        .table("stripe_events")
        .col(ColumnDef::new("id").text().not_null().primary_key())
        .col(uuid_null("tenant_id"))
        .col(text("kind"))
        .col(big_integer("created_s"))
        .col(big_integer("taken_at"))
        .to_owned()
}
