//! Rules that watch the node's figures and the trail, whom they tell, what is firing, and the
//! letters that are on their way. No foreign keys: what fired stays to be read when its rule is
//! gone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0031_alerts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [rules(), channels(), silences(), alerts(), notices()] {
            manager.create_table(table).await?;
        }
        let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
            let mut index = Index::create().name(name).table(table).to_owned();
            for column in columns {
                index.col(*column);
            }
            index
        };
        for index in [
            index("alerts_state", "alerts", &["state", "id"]),
            index("alerts_rule", "alerts", &["rule_id", "id"]),
            index("alert_notices_due", "alert_notices", &["ended_at", "next_at"]),
            index("alert_silences_end", "alert_silences", &["ends_at"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn rules() -> TableCreateStatement {
    Table::create()
        .table("alert_rules")
        .col(pk_uuid("id"))
        .col(ColumnDef::new("name").text().not_null().unique_key())
        .col(ColumnDef::new("built_in").text().null().unique_key())
        .col(json("terms"))
        .col(text("severity"))
        .col(boolean("is_enabled"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .to_owned()
}

fn channels() -> TableCreateStatement {
    Table::create()
        .table("alert_channels")
        .col(pk_uuid("id"))
        .col(ColumnDef::new("name").text().not_null().unique_key())
        .col(text("kind"))
        .col(text("address"))
        .col(blob_null("sealed"))
        .col(text("severity_min"))
        .col(boolean("is_enabled"))
        .col(big_integer("created_at"))
        .to_owned()
}

fn silences() -> TableCreateStatement {
    Table::create()
        .table("alert_silences")
        .col(pk_uuid("id"))
        .col(uuid_null("rule_id"))
        .col(json("labels"))
        .col(text("reason"))
        .col(text("actor"))
        .col(big_integer("created_at"))
        .col(big_integer("ends_at"))
        .to_owned()
}

fn alerts() -> TableCreateStatement {
    Table::create()
        .table("alerts")
        .col(pk_uuid("id"))
        .col(uuid("rule_id"))
        .col(text("fingerprint"))
        .col(text("name"))
        .col(text("severity"))
        .col(json("labels"))
        .col(text("summary"))
        .col(text("state"))
        .col(double("value"))
        .col(big_integer("started_at"))
        .col(big_integer_null("fired_at"))
        .col(big_integer("seen_at"))
        .col(big_integer_null("resolved_at"))
        .col(big_integer_null("notified_at"))
        .to_owned()
}

fn notices() -> TableCreateStatement {
    Table::create()
        .table("alert_notices")
        .col(pk_uuid("id"))
        .col(uuid_null("alert_id"))
        .col(uuid("channel_id"))
        .col(text("kind"))
        .col(json("body"))
        .col(big_integer("attempts"))
        .col(big_integer("next_at"))
        .col(big_integer_null("ended_at"))
        .col(text_null("outcome"))
        .col(text_null("error"))
        .col(big_integer("created_at"))
        .to_owned()
}
