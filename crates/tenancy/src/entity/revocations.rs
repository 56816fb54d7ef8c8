//! The table of tokens that were taken back. As those beside: private to the crate.

table!(revocation, "token_revocations", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub kind: String,
    pub value: String,
    /// Null: whenever it was issued.
    pub issued_before: Option<i64>,
    pub until: i64,
    pub reason: Option<String>,
    pub actor: String,
    pub created_at: i64,
    /// The project's version that it came or was last changed with.
    pub serial: i64,
});
