//! Durable consumers' definitions. Where a consumer stands is not here: that is in the log.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_consumers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(consumers(manager.get_database_backend())).await?;
        let names = index("consumers_name", &["topic_id", "name"]);
        manager.create_index(names).await?;
        // Two consumers never share a dead-letter topic: each tells its own letters by it.
        manager.create_index(index("consumers_dead", &["project_id", "dead_letter_topic"])).await
    }
}

/// Sorted by bytes whatever the database's locale is.
fn name(backend: DbBackend) -> ColumnDef {
    let mut name = ColumnDef::new("name").text().not_null().to_owned();
    if backend == DbBackend::Postgres {
        name.extra("COLLATE \"C\"");
    }
    name
}

fn consumers(backend: DbBackend) -> TableCreateStatement {
    Table::create()
        .table("consumers")
        .col(pk_uuid("id"))
        .col(uuid("tenant_id"))
        .col(uuid("project_id"))
        .col(big_integer("topic_id"))
        .col(name(backend))
        .col(json("config"))
        .col(text("dead_letter_topic"))
        .col(big_integer("created_at"))
        .foreign_key(
            ForeignKey::create()
                .name("consumers_topic")
                .from("consumers", "topic_id")
                .to("topics", "id"),
        )
        .foreign_key(
            ForeignKey::create()
                .name("consumers_project")
                .from("consumers", ("tenant_id", "project_id"))
                .to("projects", ("tenant_id", "id")),
        )
        .to_owned()
}

fn index(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table("consumers").unique().to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}
