//! People of the installation, their sessions and what they may do where. The table `users` of
//! before was a stub that nothing could fill: it goes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("users").to_owned()).await?;
        for table in [users(), sessions(), devices(), roles(), role_bindings()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn users() -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(pk_uuid("id"))
        .col(text_uniq("email"))
        .col(text("name"))
        .col(text_null("password"))
        .col(text("status"))
        // True for the one who set the installation up, else null: unique, so there is one only.
        .col(ColumnDef::new("is_first").boolean().null().unique_key())
        .col(big_integer("created_at"))
        .col(big_integer_null("password_changed_at"))
        .col(big_integer_null("signed_in_at"))
        .to_owned()
}

fn of_user(name: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(name).from(table, "user_id").to("users", "id").to_owned()
}

fn sessions() -> TableCreateStatement {
    Table::create()
        .table("sessions")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(big_integer("generation"))
        .col(blob("refresh_hash"))
        .col(blob("device_hash"))
        .col(text("device_name"))
        .col(text("address"))
        .col(big_integer("created_at"))
        .col(big_integer("seen_at"))
        .col(big_integer_null("elevated_until"))
        .col(big_integer_null("ended_at"))
        .col(text_null("ended_reason"))
        .foreign_key(&mut of_user("sessions_user", "sessions"))
        .to_owned()
}

fn devices() -> TableCreateStatement {
    Table::create()
        .table("devices")
        .col(uuid("user_id"))
        .col(blob("device_hash"))
        .col(text("network"))
        .col(big_integer("first_seen_at"))
        .col(big_integer("seen_at"))
        .primary_key(Index::create().col("user_id").col("device_hash"))
        .foreign_key(&mut of_user("devices_user", "devices"))
        .to_owned()
}

fn roles() -> TableCreateStatement {
    Table::create()
        .table("roles")
        .col(pk_uuid("id"))
        .col(text_uniq("name"))
        .col(text("description"))
        .col(json("permissions"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .to_owned()
}

fn role_bindings() -> TableCreateStatement {
    let tenant = ForeignKey::create()
        .name("role_bindings_tenant")
        .from("role_bindings", "tenant_id")
        .to("tenants", "id")
        .to_owned();
    let project = ForeignKey::create()
        .name("role_bindings_project")
        .from("role_bindings", ("tenant_id", "project_id"))
        .to("projects", ("tenant_id", "id"))
        .to_owned();
    Table::create()
        .table("role_bindings")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("role"))
        .col(uuid_null("tenant_id"))
        .col(uuid_null("project_id"))
        .col(big_integer("created_at"))
        .foreign_key(&mut of_user("role_bindings_user", "role_bindings"))
        .foreign_key(&mut tenant.clone())
        .foreign_key(&mut project.clone())
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(table).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        index("sessions_user_id", "sessions", &["user_id", "id"]),
        index("sessions_ended", "sessions", &["ended_at"]),
        index("role_bindings_user_id", "role_bindings", &["user_id", "id"]),
        index("role_bindings_place", "role_bindings", &["tenant_id", "project_id", "id"]),
    ]
}
