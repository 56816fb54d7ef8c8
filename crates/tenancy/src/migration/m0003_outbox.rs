//! What the control plane has to tell the log, and where webhooks deliver. The outbox has no
//! foreign keys: what was deleted still has to be told.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_outbox"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [outbox(), webhooks(), webhook_secrets()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(pk_uuid("id"))
        .col(uuid_null("tenant_id"))
        .col(uuid_null("project_id"))
        .col(text("kind"))
        .col(json("payload"))
        .col(big_integer("at"))
        .col(big_integer_null("published_at"))
        .to_owned()
}

fn webhooks() -> TableCreateStatement {
    let project = ForeignKey::create()
        .name("webhooks_project")
        .from("webhooks", ("tenant_id", "project_id"))
        .to("projects", ("tenant_id", "id"))
        .to_owned();
    Table::create()
        .table("webhooks")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(text("url"))
        .col(text("filter"))
        .col(text("description"))
        .col(boolean("is_enabled"))
        .col(text_null("disabled_reason"))
        .col(text("signing"))
        .col(json("settings"))
        .col(blob_null("sealed_headers"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .foreign_key(&mut project.clone())
        // What the secrets' foreign key points at.
        .index(
            Index::create()
                .name("webhooks_scope")
                .unique()
                .col("tenant_id")
                .col("project_id")
                .col("id"),
        )
        .to_owned()
}

fn webhook_secrets() -> TableCreateStatement {
    let webhook = ForeignKey::create()
        .name("webhook_secrets_webhook")
        .from("webhook_secrets", ("tenant_id", "project_id", "webhook_id"))
        .to("webhooks", ("tenant_id", "project_id", "id"))
        .to_owned();
    Table::create()
        .table("webhook_secrets")
        .col(pk_uuid("id"))
        .col(uuid("webhook_id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(blob("sealed"))
        .col(text_null("public_key"))
        .col(big_integer("created_at"))
        .col(big_integer_null("expires_at"))
        .foreign_key(&mut webhook.clone())
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let pending = Index::create()
        .name("outbox_pending")
        .table("outbox")
        .col("id")
        .and_where(Expr::col("published_at").is_null())
        .to_owned();
    let published = Index::create()
        .name("outbox_published")
        .table("outbox")
        .col("published_at")
        .and_where(Expr::col("published_at").is_not_null())
        .to_owned();
    let secrets = Index::create()
        .name("webhook_secrets_webhook_id")
        .table("webhook_secrets")
        .col("webhook_id")
        .to_owned();
    vec![pending, published, secrets]
}
