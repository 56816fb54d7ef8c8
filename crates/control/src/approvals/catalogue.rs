//! Which requests are acts that may be made to wait for a second person: drawn from the API's own
//! description, so that none can be forgotten. Whatever changes something and needs a permission is
//! one, unless it says `x-approval: never`; what only reads is one when it says `x-approval: pass`.

use crate::access::{Access, AccessTable, Checked, operations};
use http::Method;
use rules::Permission;
use serde_json::Value;
use std::collections::HashMap;
use tenancy::ApprovalMode;
use utoipa::openapi::OpenApi;

/// The extension of an operation: `never`, or `pass`.
const APPROVAL: &str = "x-approval";
/// Takes a mark away: waits for a second person as long as the mark is there.
pub(crate) const UNMARK: &str = "unmark_act";

/// Offered first: what cannot be undone, what gives power away, and what carries data off. A test
/// asks that each of them is there.
pub(crate) const SUGGESTED: &[&str] = &[
    "delete_tenant",
    "update_tenant",
    "delete_project",
    "delete_topic",
    "shred_tenant",
    "give_role",
    "create_role",
    "update_role",
    "invite",
    "revoke_key",
    "roll_back_acl",
    "put_acl",
    "set_config",
    "roll_back_config",
    "export_batches",
    "export_keys_at_rest",
    "mark_act",
];

/// What these do lies outside of the database. A process that dies in the middle of one leaves
/// nobody who could say whether it was done, so nobody begins it again.
pub(crate) const NOT_REPEATED: &[&str] = &[
    "test_webhook",
    "replay_webhook_dead_letters",
    "purge_webhook_dead_letters",
    "create_backup",
    "rotate_root_key",
    "rotate_tenant_key",
    "shred_tenant",
    "test_alert_channel",
    "recompute_usage",
    "subscribe_tenant",
    "delete_kafka_group",
    "reset_kafka_group",
];

/// One request that may be made to wait.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// The operation's name in the description.
    pub(crate) name: String,
    pub(crate) method: Method,
    /// As written, with its parameters.
    pub(crate) path: String,
    pub(crate) summary: String,
    pub(crate) area: String,
    pub(crate) permission: Permission,
    pub(crate) checked: Checked,
    pub(crate) mode: ApprovalMode,
}

impl Act {
    pub(crate) fn is_suggested(&self) -> bool {
        SUGGESTED.contains(&self.name.as_str())
    }

    /// Whether a tenant's own mark can concern it: it belongs to the tenant that it names.
    pub(crate) fn is_of_tenant(&self) -> bool {
        self.path.contains("{tenant}") || self.checked == Checked::ByHandler
    }

    /// Whether it may begin anew when the process that had begun it is gone and wrote nothing.
    pub(crate) fn is_repeated(&self) -> bool {
        !NOT_REPEATED.contains(&self.name.as_str())
    }
}

/// All of them, in the order of the description.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    acts: Vec<Act>,
    by_route: HashMap<(Method, String), usize>,
}

impl Catalogue {
    pub(crate) fn new(openapi: &OpenApi, access: &AccessTable) -> Catalogue {
        let document = serde_json::to_value(openapi).unwrap_or_default();
        let mut catalogue = Catalogue::default();
        for (path, method, operation) in operations(&document) {
            if let Some(act) = act(&path, &method, operation, access) {
                catalogue.by_route.insert((method, path), catalogue.acts.len());
                catalogue.acts.push(act);
            }
        }
        catalogue
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Act> {
        // `HEAD` is answered by what answers `GET`.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let index = self.by_route.get(&(method.clone(), path.to_owned()))?;
        self.acts.get(*index)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Act> {
        self.acts.iter().find(|act| act.name == name)
    }

    pub(crate) fn all(&self) -> &[Act] {
        &self.acts
    }
}

fn act(path: &str, method: &Method, operation: &Value, access: &AccessTable) -> Option<Act> {
    let Access::Needs { permission, checked, .. } = access.find(method, path) else { return None };
    let mode = match operation[APPROVAL].as_str() {
        Some("pass") => ApprovalMode::Pass,
        Some(_) => return None,
        None if method == Method::GET || permission.is_reading() => return None,
        None => ApprovalMode::Once,
    };
    let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
    Some(Act {
        name: text("operationId"),
        method: method.clone(),
        path: path.to_owned(),
        summary: text("summary"),
        area: operation["tags"][0].as_str().unwrap_or_default().to_owned(),
        permission,
        checked,
        mode,
    })
}
