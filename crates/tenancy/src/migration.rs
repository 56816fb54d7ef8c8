//! The schema's history. A migration that was released is never edited: a new one follows it.

mod m0001_records;
mod m0002_consumers;
mod m0003_outbox;
mod m0004_schema_kinds;
mod m0005_people;
mod m0006_proofs;
mod m0010_metering;
mod m0011_plans;
mod m0012_stripe;
mod m0020_access_lists;
mod m0030_audit_chain;
mod m0031_alerts;
mod m0050_passkeys;
mod m0051_device_sign_ins;
mod m0055_providers;
mod m0060_approvals;
mod m0070_token_revocations;
mod m0075_role_conditions;
mod m0080_accepted_findings;
mod m0085_key_verifiers;

use sea_orm_migration::prelude::*;

pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_records::Migration),
            Box::new(m0002_consumers::Migration),
            Box::new(m0003_outbox::Migration),
            Box::new(m0004_schema_kinds::Migration),
            Box::new(m0005_people::Migration),
            Box::new(m0006_proofs::Migration),
            Box::new(m0010_metering::Migration),
            Box::new(m0011_plans::Migration),
            Box::new(m0012_stripe::Migration),
            Box::new(m0020_access_lists::Migration),
            Box::new(m0030_audit_chain::Migration),
            Box::new(m0031_alerts::Migration),
            Box::new(m0050_passkeys::Migration),
            Box::new(m0051_device_sign_ins::Migration),
            Box::new(m0055_providers::Migration),
            Box::new(m0060_approvals::Migration),
            Box::new(m0070_token_revocations::Migration),
            Box::new(m0075_role_conditions::Migration),
            Box::new(m0080_accepted_findings::Migration),
            Box::new(m0085_key_verifiers::Migration),
        ]
    }
}
