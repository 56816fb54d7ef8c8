//! What is said of each check of people and their roles. It must not judge.

use crate::{Area, Check, Severity};

pub(super) static OWNER_NONE: Check = Check {
    id: "owner-none",
    area: Area::Records,
    severity: Severity::Critical,
    title: "Nobody owns the installation",
    why: "Only the operator's token can do anything, and nobody can be told apart in the trail.",
    cure: "Set the first owner up: `mainstem user create-owner`, or the console.",
};

pub(super) static OWNER_SINGLE: Check = Check {
    id: "owner-single",
    area: Area::Records,
    severity: Severity::Warning,
    title: "One person alone owns the installation",
    why: "When he is away, or loses his telephone, nobody can help but whoever has the operator's \
          token.",
    cure: "Make a second person owner, with a second factor.",
};

pub(super) static OWNERS_MANY: Check = Check {
    id: "owners-many",
    area: Area::Records,
    severity: Severity::Warning,
    title: "Many people own the installation",
    why: "Each of them may destroy everything; each of their passwords opens everything.",
    cure: "Give those who do not need it a narrower role: `mainstem role`.",
};

pub(super) static OWNER_ONE_FACTOR: Check = Check {
    id: "owner-one-factor",
    area: Area::Records,
    severity: Severity::Critical,
    title: "An owner signs in with a password alone",
    why: "One password that was guessed or given away opens everything.",
    cure: "Let him set up a second factor on his account page; beside a passkey alone the \
          password still counts.",
};

pub(super) static PERSON_ONE_FACTOR: Check = Check {
    id: "person-one-factor",
    area: Area::Records,
    severity: Severity::Warning,
    title: "Somebody who may change things signs in with a password alone",
    why: "One password that was guessed or given away is enough to act as him.",
    cure: "Let him set up a second factor on his account page; beside a passkey alone the \
          password still counts.",
};

pub(super) static PERSON_ABSENT: Check = Check {
    id: "person-absent",
    area: Area::Records,
    severity: Severity::Warning,
    title: "Somebody who may change things has not been here for long",
    why: "Nobody notices when somebody else uses the account.",
    cure: "Take the roles that he does not need, or disable him until he is back.",
};

pub(super) static INVITATION_OLD: Check = Check {
    id: "invitation-old",
    area: Area::Records,
    severity: Severity::Info,
    title: "An invitation was never accepted",
    why: "Its link has ended; the roles wait for whoever gets the next one.",
    cure: "Invite again, or delete the user.",
};

pub(super) static DISABLED_WITH_ROLES: Check = Check {
    id: "disabled-with-roles",
    area: Area::Records,
    severity: Severity::Info,
    title: "A disabled user still has roles",
    why: "When somebody enables him again, he has them at once.",
    cure: "Take the roles.",
};

pub(super) static ROLE_EVERYTHING: Check = Check {
    id: "role-everything",
    area: Area::Records,
    severity: Severity::Warning,
    title: "A role that was made may do everything",
    why: "It is another name for owner, and is not counted as one.",
    cure: "Take from the role what its holders do not need.",
};

pub(super) static OPERATOR_TOKEN_USED: Check = Check {
    id: "operator-token-used",
    area: Area::Records,
    severity: Severity::Info,
    title: "The operator's token is used for daily work",
    why: "It may do everything, belongs to nobody, and the trail cannot tell who used it.",
    cure: "Sign in as yourself: `mainstem login`. Keep the token for emergencies.",
};

/// All of them.
pub(crate) static ALL: &[&Check] = &[
    &OWNER_NONE,
    &OWNER_SINGLE,
    &OWNERS_MANY,
    &OWNER_ONE_FACTOR,
    &PERSON_ONE_FACTOR,
    &PERSON_ABSENT,
    &INVITATION_OLD,
    &DISABLED_WITH_ROLES,
    &ROLE_EVERYTHING,
    &OPERATOR_TOKEN_USED,
];
