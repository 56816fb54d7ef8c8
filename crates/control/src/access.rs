//! Which request needs which permission, and where: read from what each route says of itself in
//! the API's description, so that there is one truth. A route that says nothing is the operator's
//! only. It must not decide: `gate` does.

use http::Method;
use rules::Permission;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::openapi::OpenApi;

/// The extension of an operation that names its permission, or one of the words below.
pub(crate) const PERMISSION: &str = "x-permission";
/// Where the permission is asked for: `path` when absent, `installation` or `handler`.
const CHECKED: &str = "x-checked";
/// Whether the user must have proved just now who he is.
const ELEVATED: &str = "x-elevated";

/// Anybody's.
const NONE: &str = "none";
/// Whoever is signed in, for his own account.
const SESSION: &str = "session";
/// Operators' only.
const OPERATOR: &str = "operator";

/// Where the permission must be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// In the tenant and project that the path names, else in the installation.
    ByPath,
    /// In the installation, whatever the path names.
    InInstallation,
    /// Anywhere at all: the handler leaves out, or refuses, what is elsewhere.
    ByHandler,
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    SignedIn { elevated: Elevated },
    OperatorOnly,
    Needs { permission: Permission, checked: Checked, elevated: Elevated },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elevated {
    Needed,
    NotNeeded,
}

/// What each route needs, by method and path as written.
#[derive(Debug, Default)]
pub(crate) struct AccessTable(HashMap<String, HashMap<Method, Access>>);

impl AccessTable {
    pub(crate) fn new(openapi: &OpenApi) -> AccessTable {
        let document = serde_json::to_value(openapi).unwrap_or_default();
        let mut table = AccessTable::default();
        for (path, method, operation) in operations(&document) {
            table.0.entry(path).or_default().insert(method, access(operation));
        }
        table
    }

    /// Whether the description has it.
    pub(crate) fn has(&self, method: &Method, path: &str) -> bool {
        self.0.get(path).is_some_and(|methods| methods.contains_key(method))
    }

    /// What is not listed is the operator's.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Access {
        // `HEAD` is answered by what answers `GET`.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let found = self.0.get(path).and_then(|methods| methods.get(method));
        found.copied().unwrap_or(Access::OperatorOnly)
    }
}

/// Path, method and description of every operation.
pub(crate) fn operations(document: &Value) -> Vec<(String, Method, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                found.push((path.clone(), method, operation));
            }
        }
    }
    found
}

fn elevated(operation: &Value) -> Elevated {
    match operation[ELEVATED].as_bool() {
        Some(true) => Elevated::Needed,
        _ => Elevated::NotNeeded,
    }
}

fn access(operation: &Value) -> Access {
    match operation[PERMISSION].as_str() {
        Some(NONE) => Access::Open,
        Some(SESSION) => Access::SignedIn { elevated: elevated(operation) },
        Some(name) => match Permission::named(name) {
            Some(permission) => Access::Needs {
                permission,
                checked: match operation[CHECKED].as_str() {
                    Some("handler") => Checked::ByHandler,
                    Some("installation") => Checked::InInstallation,
                    _ => Checked::ByPath,
                },
                elevated: elevated(operation),
            },
            // `operator`, or a name that is none: nobody else.
            None => Access::OperatorOnly,
        },
        None => Access::OperatorOnly,
    }
}

/// The reference page of permissions, roles and what each request needs.
pub(crate) fn reference(openapi: &OpenApi) -> String {
    use std::fmt::Write;
    let document = serde_json::to_value(openapi).unwrap_or_default();
    let mut page = String::from(
        "# Permissions\n\nWhat users of an installation may do, by role; what each request of the \
         admin API needs. A role counts in the place where it was given and in all inside it: the \
         installation, a tenant, a project. Operator tokens may do everything.\n\n\
         | Permission | Meaning | Owner | Admin | Developer | Billing | Support |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for permission in Permission::ALL {
        let meaning = permission.meaning().trim();
        let _ = write!(page, "| `{}` | {meaning} |", permission.name());
        for role in rules::BuiltIn::ALL {
            let mark = if role.permissions().has(*permission) { "yes" } else { "" };
            let _ = write!(page, " {mark} |");
        }
        page.push('\n');
    }
    page.push_str("\n| Request | Permission | Where |\n|---|---|---|\n");
    for (path, method, operation) in operations(&document) {
        let needs = operation[PERMISSION].as_str().unwrap_or(OPERATOR);
        let mut place = match (needs, operation[CHECKED].as_str()) {
            (NONE, _) => "anybody",
            (SESSION, _) => "one's own account",
            (OPERATOR, _) => "operator token only",
            (_, Some("handler")) => "where it is held",
            (_, Some("installation")) => "installation",
            _ if path.contains("{project}") => "project",
            _ if path.contains("{tenant}") => "tenant",
            _ => "installation",
        }
        .to_owned();
        if operation[ELEVATED].as_bool() == Some(true) {
            place.push_str(", after a new proof of identity");
        }
        let _ = writeln!(page, "| `{method} {path}` | `{needs}` | {place} |");
    }
    page
}
