//! Roles that people have, and what was noted of them. As the tables beside: private to the
//! crate.

table!(role_binding, "role_bindings", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub role: String,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub created_at: i64,
    /// The provider whose rules gave it, and take it; null: somebody gave it.
    pub provider_id: Option<Uuid>,
    /// Null: it counts always.
    pub conditions: Option<Json>,
});

table!(person_attributes, "person_attributes", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// `installation`, or the tenant's identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub book: String,
    pub tenant_id: Option<Uuid>,
    pub attributes: Json,
    pub actor: String,
    pub at: i64,
});
