//! Tokens that were taken back, and per project how often that changed. The subjects that the
//! settings of tokens used to hold move here.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use serde_json::Value;
use uuid::Uuid;

/// As long as the settings remembered a subject.
const KEPT_MS: i64 = 90 * 86_400_000;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0070_token_revocations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite takes no more.
        for name in ["revocations_version", "revocations_rebuilt"] {
            let column = big_integer(name).default(0).to_owned();
            let table = Table::alter().table("projects").add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        manager.create_table(revocations()).await?;
        for (name, column) in [
            ("token_revocations_serial", "serial"),
            ("token_revocations_project", "id"),
            ("token_revocations_until", "until"),
        ] {
            let mut index = Index::create().name(name).table("token_revocations").to_owned();
            if column != "until" {
                index.col("project_id");
            }
            manager.create_index(index.col(column).to_owned()).await?;
        }
        move_subjects(manager).await
    }
}

fn revocations() -> TableCreateStatement {
    let project = ForeignKey::create()
        .name("token_revocations_project")
        .from("token_revocations", ("tenant_id", "project_id"))
        .to("projects", ("tenant_id", "id"))
        .to_owned();
    let once = Index::create()
        .name("token_revocations_once")
        .unique()
        .col("project_id")
        .col("kind")
        .col("value")
        .to_owned();
    Table::create()
        .table("token_revocations")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(text("kind"))
        .col(text("value"))
        .col(big_integer_null("issued_before"))
        .col(big_integer("until"))
        .col(text_null("reason"))
        .col(text("actor"))
        .col(big_integer("created_at"))
        .col(big_integer("serial"))
        .foreign_key(&mut project.clone())
        .index(&mut once.clone())
        .to_owned()
}

async fn move_subjects(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let store = manager.get_connection();
    let all =
        Query::select().columns(["id", "tenant_id", "token_settings"]).from("projects").to_owned();
    for row in store.query_all(&all).await? {
        let project: Uuid = row.try_get("", "id")?;
        let tenant: Uuid = row.try_get("", "tenant_id")?;
        let mut settings: Value = row.try_get("", "token_settings")?;
        let Some(fields) = settings.as_object_mut() else { continue };
        let Some(revoked) = fields.remove("revoked") else { continue };
        let mut serial = 0_i64;
        for (subject, before) in revoked.as_array().into_iter().flatten().filter_map(read) {
            serial += 1;
            // Near the project's own identifier, which is random enough for all of its few rows.
            let id = Uuid::from_u128(project.as_u128().wrapping_add(serial.unsigned_abs().into()));
            let insert = Query::insert()
                .into_table("token_revocations")
                .columns(COLUMNS)
                .values_panic([
                    id.into(),
                    tenant.into(),
                    project.into(),
                    "sub".into(),
                    subject.into(),
                    before.into(),
                    before.saturating_add(KEPT_MS).into(),
                    "system".into(),
                    before.into(),
                    serial.into(),
                ])
                .to_owned();
            store.execute(&insert).await?;
        }
        let update = Query::update()
            .table("projects")
            .value("token_settings", settings)
            .value("revocations_version", serial)
            .and_where(Expr::col("id").eq(project))
            .to_owned();
        store.execute(&update).await?;
    }
    Ok(())
}

const COLUMNS: [&str; 10] = [
    "id",
    "tenant_id",
    "project_id",
    "kind",
    "value",
    "issued_before",
    "until",
    "actor",
    "created_at",
    "serial",
];

fn read(subject: &Value) -> Option<(String, i64)> {
    Some((subject.get("subject")?.as_str()?.to_owned(), subject.get("before")?.as_i64()?))
}
