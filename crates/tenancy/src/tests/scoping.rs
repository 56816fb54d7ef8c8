//! Proves from the source that the tenant filter cannot be forgotten: whatever the crate offers to
//! others and may touch the database takes a `TenantId` or an `Identity`, but for the list below;
//! tables and connections never leave the crate.

use std::fs;
use std::path::{Path, PathBuf};

/// Public calls without a tenant, and why each may be.
const UNSCOPED: &[(&str, &str)] = &[
    ("connect", "opens the store"),
    ("close", "closes it"),
    ("ping", "asks no table"),
    ("dump", "the whole installation, for its backup"),
    ("load", "the whole installation, from its backup"),
    ("note", "what operators did to the node itself"),
    ("create_tenant", "the tenant does not exist yet"),
    ("tenants", "lists tenants themselves, for the operator and the node at start"),
    ("bootstrap", "makes or finds the tenant that its name stands for"),
    ("find_key_by_prefix", "tells whose key it is: nobody is known yet"),
    ("find_key_prefix", "finds a key's record by its id: nobody is known yet"),
    ("find_verification", "tells how to check a token: nobody is known yet"),
    ("all_topics", "the node at start must know the owners of all that is in its log"),
    ("audit_of_all_tenants", "the operator's view, behind the admin API"),
    ("audit_of_all_after", "the operator's view in order, behind the admin API; shipping"),
    ("audit_span", "numbers of the one chain, for the check of a part of it"),
    ("audit_within", "a report, behind the admin API, which narrows it"),
    ("note_report", "the trail of reports; a tenant is named where one is meant"),
    ("audit_counts", "the operator's report, behind the admin API, which narrows it"),
    ("seal_audit", "the node's worker gives everybody's records their places in the one chain"),
    ("unpublished_audit", "the node's worker brings everybody's records to the log"),
    ("mark_audit_published", "the node's worker, by the records' own numbers"),
    ("audit_ends", "the one chain of the installation"),
    ("audit_links", "the check of the one chain"),
    ("audit_offset", "the one chain of the installation"),
    ("adopt_audit", "the node's worker; each record carries its tenant"),
    ("unpublish_audit", "the node's worker, by the records' own numbers"),
    ("sweep_audit", "the node's worker drops what is too old of everybody's"),
    ("audit_backlog", "a number for the node's metrics"),
    ("note_incidents", "the node's worker; each incident carries its tenant"),
    ("sink_place", "receivers of the whole trail are the installation's"),
    ("move_sink", "receivers of the whole trail are the installation's"),
    ("alert_rules", "alerts are the installation's"),
    ("alert_rule", "alerts are the installation's"),
    ("create_alert_rule", "alerts are the installation's"),
    ("update_alert_rule", "alerts are the installation's"),
    ("delete_alert_rule", "alerts are the installation's"),
    ("seed_alert_rules", "alerts are the installation's"),
    ("alert_channels", "alerts are the installation's"),
    ("alert_channel", "alerts are the installation's"),
    ("create_alert_channel", "alerts are the installation's"),
    ("update_alert_channel", "alerts are the installation's"),
    ("delete_alert_channel", "alerts are the installation's"),
    ("alert_silences", "alerts are the installation's"),
    ("create_alert_silence", "alerts are the installation's"),
    ("delete_alert_silence", "alerts are the installation's"),
    ("open_alerts", "alerts are the installation's"),
    ("alerts", "alerts are the installation's"),
    ("move_alerts", "alerts are the installation's"),
    ("alert_notices_due", "alerts are the installation's"),
    ("alert_notices", "alerts are the installation's"),
    ("end_alert_notice", "alerts are the installation's"),
    ("sweep_alerts", "alerts are the installation's"),
    ("add_config_revision", "the node's own configuration"),
    ("config_revision", "the node's own configuration"),
    ("config_revisions", "the node's own configuration"),
    ("note_keyring", "the trail of the node's own keys; a tenant is named where one is meant"),
    ("all_limits", "the node applies every project's retention, each to its own records"),
    ("pending_events", "the node's worker publishes everybody's changes, each to its owner"),
    ("mark_published", "the node's worker, by the events' own numbers"),
    ("outbox_backlog", "a number for the node's metrics"),
    ("sweep_outbox", "the node's worker drops what is published"),
    ("sweep_revocations", "the node's worker drops everybody's that are over"),
    ("ask_approval", "the place is in what is given"),
    ("approval", "the admin API checks its place"),
    ("approvals", "the admin API narrows it to what is one's own"),
    ("approvals_waiting", "a number for the node's metrics"),
    ("approve", "the admin API checks its place"),
    ("refuse_approval", "the admin API checks its place"),
    ("withdraw_approval", "of who asked"),
    ("take_approval_answer", "of who asked"),
    ("approvals_due", "the node's worker carries everybody's out"),
    ("claim_approval", "the node's worker, by the approval's own number"),
    ("prolong_approval", "the node's worker, by the approval's own number"),
    ("end_approval", "the node's worker, by the approval's own number"),
    ("close_approval", "the node's worker, by the approval's own number"),
    ("use_approval_pass", "of who asked"),
    ("note_bypass", "the place is in what is given"),
    ("sweep_approvals", "the node's worker drops what is long over"),
    ("put_approval_rule", "the place is in what is given"),
    ("delete_approval_rule", "the installation's, or of the tenant that is named"),
    ("approval_rules", "the installation's, and those of the tenant that is named"),
    ("approval_rules_of", "the installation's, and those of the tenants that are named"),
    ("users_bound_at", "who may approve: people of the installation and of a tenant together"),
    ("all_webhooks", "the node delivers for everybody, each with its owner's identity"),
    ("plans", "plans are the operator's and belong to no tenant"),
    ("plan", "plans are the operator's and belong to no tenant"),
    ("put_plan", "plans are the operator's and belong to no tenant"),
    ("archive_plan", "plans are the operator's and belong to no tenant"),
    ("tenants_of_plan", "the node tells every tenant of a plan that it changed"),
    ("accounts_due", "the node ends everybody's trials and graces"),
    ("tenant_of_stripe_customer", "tells whose customer it is: nobody is known yet"),
    ("stripe_event", "an event may be of nobody known here; it carries its tenant when it has one"),
    ("end_stripe_event", "as `stripe_event`"),
    ("billed_tenants", "the worker reports everybody's usage, each as its tenant's"),
    ("reports_due", "the worker reports everybody's usage, each as its tenant's"),
    ("report_backlog", "a number for the node's metrics"),
    ("write_usage", "the node counts for everybody; each count carries its tenant"),
    ("usage_marks", "the node at start must know up to where its log is counted"),
    ("has_usage_without_marks", "asked by the node at start, of an older version's counts"),
    ("sweep_usage_ranges", "the node drops what is too old to be counted again"),
    ("access_list", "the place is in what is given"),
    ("access_list_versions", "the place is in what is given"),
    ("put_access_list", "the place is in what is given"),
    ("claim_request", "belongs to an actor of the admin API"),
    ("answer_request", "belongs to an actor of the admin API"),
    ("release_request", "belongs to an actor of the admin API"),
    ("has_users", "whether the installation is set up"),
    ("create_owner", "the first user of the installation"),
    ("user", "people belong to the installation; the admin API checks who may see whom"),
    ("user_by_email", "signing in: nobody is known yet"),
    ("user_login", "a password to be checked"),
    ("users", "the view of who looks after the installation"),
    ("set_password", "a user's own, or by a token that was mailed to him"),
    ("rehash_password", "a password that was just checked"),
    ("disable_user", "people belong to the installation"),
    ("enable_user", "people belong to the installation"),
    ("delete_user", "people belong to the installation"),
    ("create_role", "roles are the installation's"),
    ("role", "roles are the installation's"),
    ("roles", "roles are the installation's"),
    ("update_role", "roles are the installation's"),
    ("delete_role", "roles are the installation's"),
    ("bind_role", "the place is in what is given"),
    ("unbind_role", "the admin API checks the place first"),
    ("binding", "the admin API checks its place"),
    ("set_role_conditions", "the admin API checks the place first"),
    ("noted_of", "what a user's rights depend on, all places together"),
    ("note_attributes", "the place is in what is given"),
    ("bindings_of", "a user's rights, all places together"),
    ("open_session", "of a user whose credentials were checked"),
    ("knows_device", "signing in: nobody is known yet"),
    ("session", "proven by the token that names it"),
    ("rotate_session", "proven by the token that names it"),
    ("elevate_session", "of a user whose credentials were checked"),
    ("end_session", "of the user that is named"),
    ("end_sessions", "of the user that is named"),
    ("sessions", "of the user that is named"),
    ("invite_user", "the place is in what is given"),
    ("start_reset", "of the user that is named"),
    ("redeem", "proven by the token that names it"),
    ("start_second_factor", "of the user that is named"),
    ("start_device_sign_in", "nobody is known yet"),
    ("device_sign_in", "found by the code that the device shows"),
    ("answer_device_sign_in", "of the user that is named"),
    ("ask_device_sign_in", "proven by the secret that the device has"),
    ("add_passkey", "of the user that is named"),
    ("passkeys", "of the user that is named"),
    ("passkey_by_credential", "signing in: nobody is known yet"),
    ("use_passkey", "proven by the signature that was just checked"),
    ("rename_passkey", "of the user that is named"),
    ("remove_passkey", "of the user that is named"),
    ("second_factor", "of the user that is named"),
    ("confirm_second_factor", "of the user that is named"),
    ("use_step", "of the user that is named"),
    ("use_recovery_code", "of the user that is named"),
    ("remove_second_factor", "of the user that is named"),
    ("note_attempt", "the trail of attempts to sign in"),
    ("create_provider", "the place is in what is given"),
    ("provider", "tells its tenant, which the caller looks at"),
    ("providers", "the admin API narrows it to what may be seen"),
    ("providers_offered", "asked by whoever is about to sign in: nobody is known yet"),
    ("update_provider", "of the provider that is named, whose tenant the caller looked at"),
    ("delete_provider", "of the provider that is named, whose tenant the caller looked at"),
    ("begin_sign_in", "nobody is known yet"),
    ("take_sign_in", "proven by what names it"),
    ("try_sign_in", "proven by what names it"),
    ("user_of_identity", "tells whose it is: nobody is known yet"),
    ("create_vouched_user", "the place is the provider's"),
    ("link_identity", "of the user that is named"),
    ("identities", "of the user that is named"),
    ("unlink_identity", "of the user that is named"),
    ("providers_without_password", "of the user that is named"),
    ("set_vouched_roles", "of the user that is named; the place is the provider's"),
    ("see_identity", "of the identity that is named"),
    ("accept_finding", "the place is in what is given"),
    ("acceptance", "tells its place, which the caller looks at"),
    ("acceptances", "the admin API narrows them to findings that may be seen"),
    ("reopen_finding", "of the acceptance that is named, whose place the caller looked at"),
    ("sweep_acceptances", "the node's worker drops what has ended"),
    ("surveyed_people", "security checks: of the tenant that is named, or of all"),
    ("surveyed_sessions", "the view of sessions, which the admin API narrows"),
    ("audit_hours", "rules on what is unusual, behind the admin API, which narrows it"),
    ("surveyed_keys", "security checks: of the tenant that is named, or of all"),
    ("surveyed_signing_keys", "security checks: of the tenant that is named, or of all"),
    ("surveyed_webhooks", "security checks: of the tenant that is named, or of all"),
    ("surveyed_lists", "security checks: of the tenant that is named, or of all"),
];

/// Words that a public signature must not hold: they would let a caller query by himself.
const INTERNAL: &[&str] =
    &["DatabaseConnection", "DatabaseTransaction", "Select<", "Entity", "ActiveModel", "DbErr"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the crate's own sources") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Name and text up to the body of each `pub` function of a file.
fn public_functions(text: &str) -> Vec<(String, String)> {
    let starts = ["pub async fn ", "pub fn ", "pub const fn "];
    let mut functions = Vec::new();
    for start in starts {
        for (at, _) in text.match_indices(start) {
            let rest = &text[at + start.len()..];
            let signature = &rest[..rest.find(['{', ';']).unwrap_or(rest.len())];
            let name: String =
                signature.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_async = start.contains("async");
            functions.push((name, format!("{} {signature}", if is_async { "async" } else { "" })));
        }
    }
    functions
}

fn all_public_functions() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.retain(|file| !file.starts_with(root.join("tests")) && !file.ends_with("tests.rs"));
    assert!(files.len() > 10, "the sources moved");
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("readable source"));
    texts.flat_map(|text| public_functions(&text)).collect()
}

/// A tenant of the caller's, alone or with what belongs to it; an optional one is only a place in a
/// list.
fn is_scoped(signature: &str) -> bool {
    [": TenantId", ": (TenantId,", "[(TenantId,", "&Identity"]
        .iter()
        .any(|scope| signature.contains(scope))
}

#[test]
fn every_public_query_takes_a_tenant() {
    let functions = all_public_functions();
    // Only asynchronous functions can reach the database: its client has no other kind.
    let queries: Vec<_> = functions.iter().filter(|(_, text)| text.starts_with("async")).collect();
    assert!(queries.len() > 30, "the scan is broken");
    for (name, signature) in &queries {
        let is_listed = UNSCOPED.iter().any(|(listed, _)| listed == name);
        assert!(
            is_scoped(signature) != is_listed,
            "`{name}` must take a TenantId or be listed with a reason, not both:\n{signature}"
        );
    }
    for (listed, _) in UNSCOPED {
        assert!(queries.iter().any(|(name, _)| name == listed), "`{listed}` is listed but gone");
    }
}

#[test]
fn tables_and_connections_stay_inside() {
    for (name, signature) in all_public_functions() {
        for word in INTERNAL {
            assert!(!signature.contains(word), "`{name}` shows `{word}`:\n{signature}");
        }
    }
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let root = root.expect("the crate's root");
    assert!(root.contains("\nmod entity;"), "the tables must be a private module");
    assert!(!root.contains("pub mod "), "modules are private: what is public is named in the root");
    assert!(!root.contains("use entity"), "the tables must not be re-exported");
}

#[test]
fn the_scan_finds_what_it_should() {
    let text =
        "pub async fn leak(&self) -> u8 {}\npub(crate) async fn inner() {}\npub fn pure() {}";
    let found = public_functions(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].0, "leak");
    assert!(!is_scoped(&found[0].1));
}
