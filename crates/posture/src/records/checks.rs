//! What is said of each check of keys, lists and webhooks. It must not judge.

use crate::{Area, Check, Severity};

pub(super) static KEY_EVERYTHING: Check = Check {
    id: "key-everything",
    area: Area::Records,
    severity: Severity::Warning,
    title: "A key may do everything in its project",
    why: "Whoever finds it in an application has all records, and can delete all topics.",
    cure: "Make a key with the scopes and grants that its application needs, and revoke this one.",
};

pub(super) static KEY_ENDLESS: Check = Check {
    id: "key-endless",
    area: Area::Records,
    severity: Severity::Info,
    title: "A key never ends",
    why: "A key that was forgotten, or copied, works for ever.",
    cure: "Give keys an expiry, and rotate them: `mainstem keys rotate`.",
};

pub(super) static KEY_OLD: Check = Check {
    id: "key-old",
    area: Area::Records,
    severity: Severity::Warning,
    title: "A key is very old",
    why: "The longer it is used, the more places it has been written down in.",
    cure: "Rotate it: the old one counts for a grace, so that nothing stops.",
};

pub(super) static SIGNING_KEY_OLD: Check = Check {
    id: "signing-key-old",
    area: Area::Records,
    severity: Severity::Warning,
    title: "A key that checks tokens is very old",
    why: "Whoever has got hold of its other half makes tokens for anybody.",
    cure: "Add a new signing key, let the issuer go over to it, and remove this one.",
};

pub(super) static WEBHOOK_PLAIN: Check = Check {
    id: "webhook-plain",
    area: Area::Records,
    severity: Severity::Warning,
    title: "A webhook's endpoint is plain HTTP",
    why: "Records leave readable and changeable on the way.",
    cure: "Give the endpoint an `https://` address.",
};

pub(super) static LIST_OPEN: Check = Check {
    id: "list-open",
    area: Area::Records,
    severity: Severity::Warning,
    title: "An access list lets everybody do everything",
    why: "An entry for everybody, for all operations and all topics, without any condition, makes \
          the rest of the list say nothing.",
    cure: "Name the principals, or the operations and topics, that are meant.",
};

pub(super) static LIST_DEFAULT_ALLOW: Check = Check {
    id: "list-default-allow",
    area: Area::Records,
    severity: Severity::Info,
    title: "An access list allows what no entry speaks of",
    why: "A topic that was forgotten is open to every credential of the project that has the \
          scope.",
    cure: "Set the list's `default` to `deny`, and allow what is meant.",
};

pub(super) static APPROVALS_NONE: Check = Check {
    id: "approvals-none",
    area: Area::Records,
    severity: Severity::Info,
    title: "No act waits for a second person",
    why: "One person, or one stolen session, can delete a tenant or give anybody every role.",
    cure: "Mark the acts that are offered first: `mainstem approvals`, or the console.",
};

/// All of them.
pub(crate) static ALL: &[&Check] = &[
    &KEY_EVERYTHING,
    &KEY_ENDLESS,
    &KEY_OLD,
    &SIGNING_KEY_OLD,
    &WEBHOOK_PLAIN,
    &LIST_OPEN,
    &LIST_DEFAULT_ALLOW,
    &APPROVALS_NONE,
];
