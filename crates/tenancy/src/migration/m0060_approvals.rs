//! Acts that wait for a second person, and which acts do. No foreign keys: what was asked for stays
//! to be read when its tenant, or who asked, is gone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0060_approvals"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [rules(), approvals()] {
            manager.create_table(table).await?;
        }
        let index = |name: &'static str, columns: &[&'static str]| {
            let mut index = Index::create().name(name).table("approvals").to_owned();
            for column in columns {
                index.col(*column);
            }
            index
        };
        for index in [
            index("approvals_state", &["state", "id"]),
            index("approvals_asker", &["asker", "id"]),
            index("approvals_tenant", &["tenant_id", "id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn rules() -> TableCreateStatement {
    Table::create()
        .table("approval_rules")
        .col(text("owner"))
        .col(text("act"))
        .col(uuid_null("tenant_id"))
        .col(big_integer("hours"))
        .col(text("actor"))
        .col(big_integer("at"))
        .primary_key(Index::create().col("owner").col("act"))
        .to_owned()
}

fn approvals() -> TableCreateStatement {
    Table::create()
        .table("approvals")
        .col(pk_uuid("id"))
        .col(uuid_null("tenant_id"))
        .col(uuid_null("project_id"))
        .col(boolean("at_installation"))
        .col(text("state"))
        .col(text("mode"))
        .col(text("act"))
        .col(text("method"))
        .col(text("path"))
        .col(text("permission"))
        .col(blob("digest"))
        .col(blob("sealed"))
        .col(json_null("before"))
        .col(blob_null("before_digest"))
        .col(text("asker"))
        .col(uuid_null("asker_user"))
        .col(text_null("address"))
        .col(text("reason"))
        .col(big_integer("asked_at"))
        .col(big_integer("expires_at"))
        .col(text_null("decider"))
        .col(uuid_null("decider_user"))
        .col(big_integer_null("decided_at"))
        .col(text("comment").default("").to_owned())
        .col(big_integer("attempt").default(0).to_owned())
        .col(big_integer_null("lease_until"))
        .col(big_integer_null("carried_at"))
        .col(big_integer_null("ended_at"))
        .col(text_null("outcome"))
        .col(big_integer_null("status"))
        .col(json_null("answer"))
        .col(blob_null("sealed_answer"))
        .to_owned()
}
