//! All routes, one module per area. A route reads its input, makes one call and shows the outcome.

mod account;
pub(crate) mod accounts;
mod acl;
mod alert_channels;
mod alerts;
mod approval_rules;
mod approvals;
pub(crate) mod audit;
mod audit_out;
mod audit_report;
mod auth;
mod backups;
mod conditions_view;
mod configuration;
pub(crate) mod connections;
mod device;
mod kafka_groups;
mod keys;
mod keys_at_rest;
mod letters;
mod logs;
mod passkey_json;
mod passkeys;
pub(crate) mod people_view;
mod plans;
pub(crate) mod principals;
mod projects;
mod provider_sign_in;
mod providers;
mod providers_view;
mod recompute;
mod role_conditions;
mod roles;
mod second_factor;
mod security;
mod signing;
mod stripe;
mod telemetry;
mod tenants;
pub(crate) mod token_revocations;
mod topics;
mod transfers;
pub(crate) mod usage;
mod users;
mod webhooks;

use crate::Routes;

pub(crate) fn all() -> Routes {
    Routes::new()
        .merge(auth::routes())
        .merge(account::routes())
        .merge(provider_sign_in::routes())
        .merge(providers::routes())
        .merge(users::routes())
        .merge(letters::routes())
        .merge(second_factor::routes())
        .merge(passkeys::routes())
        .merge(device::routes())
        .merge(roles::routes())
        .merge(role_conditions::routes())
        .merge(tenants::routes())
        .merge(projects::routes())
        .merge(keys::routes())
        .merge(keys_at_rest::routes())
        .merge(signing::routes())
        .merge(token_revocations::routes())
        .merge(acl::routes())
        .merge(topics::routes())
        .merge(kafka_groups::routes())
        .merge(webhooks::routes())
        .merge(connections::routes())
        .merge(principals::routes())
        .merge(usage::routes())
        .merge(recompute::routes())
        .merge(plans::routes())
        .merge(accounts::routes())
        .merge(stripe::routes())
        .merge(audit::routes())
        .merge(audit_out::routes())
        .merge(audit_report::routes())
        .merge(security::routes())
        .merge(alerts::routes())
        .merge(alert_channels::routes())
        .merge(approvals::routes())
        .merge(approval_rules::routes())
        .merge(configuration::routes())
        .merge(logs::routes())
        .merge(telemetry::routes())
        .merge(backups::routes())
        .merge(transfers::routes())
}
