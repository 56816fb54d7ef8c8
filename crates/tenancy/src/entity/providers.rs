//! Tables of providers that people sign in with. As those beside: private to the crate.

table!(provider, "identity_providers", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Option<Uuid>,
    pub name: String,
    pub issuer: String,
    pub client_id: String,
    pub sealed_secret: Option<Vec<u8>>,
    pub terms: Json,
    pub is_enabled: bool,
    pub is_offered: bool,
    /// Null: whoever wrote it last holds everything there.
    pub ceiling: Option<Json>,
    pub created_at: i64,
    pub updated_at: i64,
});

table!(provider_domain, "identity_provider_domains", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider_id: Uuid,
});

table!(identity, "identities", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub issuer: String,
    pub subject: String,
    pub email: String,
    pub created_at: i64,
    pub seen_at: i64,
});

table!(provider_sign_in, "provider_sign_ins", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub provider_id: Uuid,
    pub purpose: String,
    pub hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub session_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    pub attempts: i64,
    pub created_at: i64,
    pub expires_at: i64,
});
