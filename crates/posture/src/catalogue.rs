//! All checks, found by their names, and the page of the documentation that lists them.

use crate::{Area, Check, configuration, people, records, running};
use std::fmt::Write;

/// The parts of the catalogue, in the order in which they are shown.
pub static ALL: &[&[&Check]] = &[configuration::ALL, people::ALL, records::ALL, running::ALL];

/// Every check there is.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    ALL.iter().flat_map(|part| part.iter().copied())
}

/// The check of this name.
pub fn check(id: &str) -> Option<&'static Check> {
    checks().find(|check| check.id == id)
}

/// The reference page of checks.
pub fn reference() -> String {
    let mut page = String::from(
        "# Security checks\n\nWhat `mainstem security check`, `/v1/security/findings` and the \
         console's page Security look at; what of it `mainstem config check` says. How findings \
         are read, accepted and watched is in [the guide](../guides/security.md).\n",
    );
    for area in Area::ALL {
        let title = match area {
            Area::Configuration => "Configuration",
            Area::Records => "People, keys, access lists, webhooks",
            Area::Running => "The running process",
        };
        let _ = writeln!(page, "\n## {title}");
        for check in checks().filter(|check| check.area == *area) {
            let Check { id, severity, title, why, cure, .. } = check;
            let severity = severity.name();
            let _ = write!(
                page,
                "\n### {id}\n\n**{title}** ({severity})\n\nWhy it matters: {why}\n\nCure: {cure}\n"
            );
        }
    }
    page
}
