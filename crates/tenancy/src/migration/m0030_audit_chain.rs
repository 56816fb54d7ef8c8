//! The audit trail becomes a chain: each record gets a place, the hash of the one before and its
//! own, and says where a request came from and what came of it. What was written before this
//! version gets its place when the node starts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0030_audit_chain"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            text("outcome").default("done").to_owned(),
            text_null("address"),
            text_null("request"),
            big_integer("count").default(1).to_owned(),
            big_integer_null("sequence"),
            blob_null("previous"),
            blob_null("hash"),
            big_integer_null("published_at"),
            big_integer_null("log_offset"),
        ];
        // SQLite adds one column in a statement.
        for column in columns {
            let add = Table::alter().table("audit_records").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for table in [chain(), sinks()] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table("audit_records").to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    let mut places = index("audit_records_sequence", &["sequence"]);
    places.unique();
    vec![
        places,
        index("audit_records_actor", &["actor", "id"]),
        index("audit_records_target", &["target", "id"]),
        index("audit_records_action", &["action", "id"]),
        index("audit_records_outcome", &["outcome", "id"]),
        index("audit_records_at", &["at", "id"]),
        index("audit_records_unpublished", &["published_at", "sequence"]),
    ]
}

fn chain() -> TableCreateStatement {
    Table::create()
        .table("audit_chain")
        .col(ColumnDef::new("name").text().not_null().primary_key())
        .col(big_integer("sequence"))
        .col(blob("hash"))
        .col(big_integer("anchor_sequence"))
        .col(blob("anchor_hash"))
        .to_owned()
}

fn sinks() -> TableCreateStatement {
    Table::create()
        .table("audit_sinks")
        .col(ColumnDef::new("name").text().not_null().primary_key())
        .col(big_integer("sequence"))
        .col(big_integer("next_offset"))
        .col(big_integer("at"))
        .to_owned()
}
