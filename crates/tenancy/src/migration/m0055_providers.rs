//! Providers with which people sign in (OpenID Connect), whom they vouch for, and who is under way.
//! Sessions and roles that came by a provider name it; without foreign keys, since what a provider
//! gave outlives it for the moment until it is taken.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0055_providers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // The trait elides this lifetime, and an implementation must write what the trait writes.
    #[allow(elided_lifetimes_in_paths)]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [providers(), domains(), identities(), sign_ins()] {
            manager.create_table(table).await?;
        }
        for table in ["sessions", "role_bindings"] {
            let column =
                Table::alter().table(table).add_column(uuid_null("provider_id")).to_owned();
            manager.alter_table(column).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn providers() -> TableCreateStatement {
    let tenant = ForeignKey::create()
        .name("identity_providers_tenant")
        .from("identity_providers", "tenant_id")
        .to("tenants", "id")
        .to_owned();
    Table::create()
        .table("identity_providers")
        .col(pk_uuid("id"))
        .col(uuid_null("tenant_id"))
        .col(text("name"))
        .col(text("issuer"))
        .col(text("client_id"))
        .col(blob_null("sealed_secret"))
        .col(json("terms"))
        .col(boolean("is_enabled"))
        .col(boolean("is_offered"))
        .col(json_null("ceiling"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .foreign_key(&mut tenant.clone())
        .to_owned()
}

fn of_provider(name: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create().name(name).from(table, "provider_id").to_owned();
    key.to("identity_providers", "id").to_owned()
}

fn domains() -> TableCreateStatement {
    Table::create()
        .table("identity_provider_domains")
        .col(text("domain"))
        .col(uuid("provider_id"))
        .primary_key(Index::create().col("domain").col("provider_id"))
        .foreign_key(&mut of_provider("provider_domains", "identity_provider_domains"))
        .to_owned()
}

fn identities() -> TableCreateStatement {
    let user = ForeignKey::create()
        .name("identities_user")
        .from("identities", "user_id")
        .to("users", "id")
        .to_owned();
    Table::create()
        .table("identities")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("issuer"))
        .col(text("subject"))
        .col(text("email"))
        .col(big_integer("created_at"))
        .col(big_integer("seen_at"))
        .foreign_key(&mut user.clone())
        .to_owned()
}

fn sign_ins() -> TableCreateStatement {
    Table::create()
        .table("provider_sign_ins")
        .col(pk_uuid("id"))
        .col(uuid("provider_id"))
        .col(text("purpose"))
        .col(blob("hash"))
        .col(blob("device_hash"))
        .col(uuid_null("session_id"))
        .col(uuid_null("user_id"))
        .col(big_integer("attempts"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .foreign_key(&mut of_provider("provider_sign_ins_provider", "provider_sign_ins"))
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
        index("identity_providers_tenant_id", "identity_providers", &["tenant_id", "id"]),
        index("identity_providers_issuer", "identity_providers", &["issuer"]),
        index("identities_of", "identities", &["issuer", "subject"]).unique().to_owned(),
        index("identities_user_id", "identities", &["user_id", "id"]),
        index("provider_sign_ins_end", "provider_sign_ins", &["expires_at"]),
        index("sessions_provider_id", "sessions", &["provider_id"]),
        index("role_bindings_provider_id", "role_bindings", &["provider_id"]),
    ]
}
