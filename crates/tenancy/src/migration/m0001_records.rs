//! The first tables. Foreign keys name the tenant together with the project, so the database itself
//! refuses a row that puts one tenant's thing into another's project.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_records"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let tables = [tenants(), projects(), api_keys(), signing_keys(), users(), topics(backend)];
        let more = [topic_schemas(), usage_windows(), audit_records(), config_revisions()];
        let last = [bootstraps(), admin_requests()];
        for table in tables.into_iter().chain(more).chain(last) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn create(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).to_owned()
}

fn belongs_to_project(name: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(name)
        .from(table, ("tenant_id", "project_id"))
        .to("projects", ("tenant_id", "id"))
        .to_owned()
}

fn belongs_to_tenant(name: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(name).from(table, "tenant_id").to("tenants", "id").to_owned()
}

fn tenants() -> TableCreateStatement {
    create("tenants")
        .col(pk_uuid("id"))
        .col(text("name"))
        .col(text("plan"))
        .col(text("status"))
        .col(text_null("status_reason"))
        .col(text_null("status_before"))
        .col(text_null("stripe_customer_id"))
        .col(big_integer("created_at"))
        .to_owned()
}

fn projects() -> TableCreateStatement {
    create("projects")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(text("name"))
        .col(json("limits"))
        .col(json("token_settings"))
        .col(big_integer("created_at"))
        .foreign_key(&mut belongs_to_tenant("projects_tenant", "projects"))
        // What foreign keys of the tables below point at.
        .index(Index::create().name("projects_scope").unique().col("tenant_id").col("id"))
        .to_owned()
}

fn api_keys() -> TableCreateStatement {
    create("api_keys")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(text("name"))
        .col(text("mode"))
        .col(text_uniq("prefix"))
        .col(blob("hash"))
        .col(json("scopes"))
        .col(json_null("grants"))
        .col(big_integer_null("rate_per_second"))
        .col(big_integer("created_at"))
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("revoked_at"))
        .col(uuid_null("rotated_from"))
        .col(big_integer_null("grace_until"))
        .foreign_key(&mut belongs_to_project("api_keys_project", "api_keys"))
        .to_owned()
}

fn signing_keys() -> TableCreateStatement {
    create("signing_keys")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(text("kid"))
        .col(text("algorithm"))
        .col(blob("material"))
        .col(big_integer("created_at"))
        .foreign_key(&mut belongs_to_project("signing_keys_project", "signing_keys"))
        .to_owned()
}

fn users() -> TableCreateStatement {
    create("users")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(text("email"))
        .col(text("name"))
        .col(big_integer("created_at"))
        .foreign_key(&mut belongs_to_tenant("users_tenant", "users"))
        .to_owned()
}

/// Names sort by bytes whatever the database's locale is, as the node sorts them. SQLite does so
/// by itself and does not know the collation's name.
fn topic_name(backend: DbBackend) -> ColumnDef {
    let mut name = ColumnDef::new("name").text().not_null().to_owned();
    if backend == DbBackend::Postgres {
        name.extra("COLLATE \"C\"");
    }
    name
}

fn topics(backend: DbBackend) -> TableCreateStatement {
    create("topics")
        .col(ColumnDef::new("id").big_integer().not_null().primary_key())
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(topic_name(backend))
        .col(json("config"))
        .col(big_integer("schema_version"))
        .col(big_integer("created_at"))
        .col(big_integer_null("deleted_at"))
        .foreign_key(&mut belongs_to_project("topics_project", "topics"))
        .to_owned()
}

fn topic_schemas() -> TableCreateStatement {
    create("topic_schemas")
        .col(big_integer("topic_id"))
        .col(big_integer("version"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(json("schema"))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("topic_id").col("version"))
        .foreign_key(
            ForeignKey::create()
                .name("topic_schemas_topic")
                .from("topic_schemas", "topic_id")
                .to("topics", "id"),
        )
        .foreign_key(&mut belongs_to_project("topic_schemas_project", "topic_schemas"))
        .to_owned()
}

/// Without foreign keys: what was used must be paid for, whoever was deleted since.
fn usage_windows() -> TableCreateStatement {
    create("usage_windows")
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(text("metric"))
        .col(big_integer("window_start"))
        .col(big_integer("quantity"))
        .primary_key(
            Index::create().col("tenant_id").col("project_id").col("metric").col("window_start"),
        )
        .to_owned()
}

/// Without foreign keys: the trail outlives what it tells of.
fn audit_records() -> TableCreateStatement {
    create("audit_records")
        .col(pk_uuid("id"))
        .col(uuid_null("tenant_id"))
        .col(uuid_null("project_id"))
        .col(text("actor"))
        .col(text("action"))
        .col(text("target"))
        .col(json("details"))
        .col(big_integer("at"))
        .to_owned()
}

fn config_revisions() -> TableCreateStatement {
    create("config_revisions")
        .col(ColumnDef::new("revision").big_integer().not_null().primary_key())
        .col(json("config"))
        .col(text("actor"))
        .col(text("note"))
        .col(big_integer("at"))
        .to_owned()
}

fn bootstraps() -> TableCreateStatement {
    create("bootstraps")
        .col(ColumnDef::new("name").text().not_null().primary_key())
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .to_owned()
}

fn admin_requests() -> TableCreateStatement {
    create("admin_requests")
        .col(text("actor"))
        .col(text("idempotency_key"))
        .col(blob("fingerprint"))
        .col(big_integer("claimed_at"))
        .col(big_integer_null("status"))
        .col(json_null("answer"))
        .primary_key(Index::create().col("actor").col("idempotency_key"))
        .to_owned()
}

fn index(
    name: &'static str,
    table: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}

fn indexes() -> Vec<IndexCreateStatement> {
    let live_names = index("topics_name", "topics", &["project_id", "name"])
        .unique()
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    vec![
        index("projects_name", "projects", &["tenant_id", "name"]).unique().to_owned(),
        index("api_keys_list", "api_keys", &["tenant_id", "project_id", "id"]),
        index("signing_keys_kid", "signing_keys", &["project_id", "kid"]).unique().to_owned(),
        index("users_email", "users", &["tenant_id", "email"]).unique().to_owned(),
        live_names,
        index("usage_windows_time", "usage_windows", &["tenant_id", "window_start"]),
        index("audit_records_tenant", "audit_records", &["tenant_id", "id"]),
        index("admin_requests_age", "admin_requests", &["claimed_at"]),
    ]
}
