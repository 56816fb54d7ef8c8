//! Tables of the security checks.

table!(accepted_finding, "accepted_findings", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub finding: String,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub reason: String,
    pub actor: String,
    pub at: i64,
    pub until: i64,
});
