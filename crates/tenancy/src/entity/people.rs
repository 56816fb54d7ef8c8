//! What was noted of people. As the tables beside: private to the crate.

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
