//! The checks of people: who owns the installation, who may change things, how they sign in and
//! when they last did. Where somebody has a role is where a finding about him belongs.

mod checks;

use crate::Finding;
pub(crate) use checks::ALL;
use checks::*;
use rules::{BuiltIn, PermissionSet, Place};
use std::collections::BTreeMap;
use types::TimestampMs;

const DAY_MS: i64 = 24 * 3_600_000;
/// Owners of an installation; more of them are noticed.
const OWNERS_MAX: usize = 5;
/// Days without signing in after which somebody counts as gone.
const ABSENT_DAYS: i64 = 90;
/// Days that an invitation may wait.
const INVITED_DAYS: i64 = 14;
/// Acts with the operator's token in a month that are still an emergency.
const OPERATOR_ACTS_MAX: u64 = 10;

/// A role that somebody has somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub place: Place,
    /// As people call it.
    pub name: String,
    pub permissions: PermissionSet,
    /// It is none of those that are always there.
    pub is_made: bool,
}

/// Whether somebody may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Invited,
    Active,
    Disabled,
}

/// A user, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub email: String,
    pub standing: Standing,
    pub created_at: TimestampMs,
    pub signed_in_at: Option<TimestampMs>,
    /// A password alone does not let him in: he has a second factor, or no password at all.
    pub is_strong: bool,
    pub roles: Vec<Role>,
}

impl Role {
    fn is_owner(&self) -> bool {
        self.permissions.contains(PermissionSet::all())
    }

    /// Allows more than looking.
    fn is_changing(&self) -> bool {
        self.permissions.iter().any(|permission| !permission.is_reading())
    }
}

impl Person {
    fn owns_installation(&self) -> bool {
        let owns = |role: &Role| role.place == Place::Installation && role.is_owner();
        self.standing == Standing::Active && self.roles.iter().any(owns)
    }

    /// Places where a role of his allows more than looking, each once; and whether he owns it.
    fn places(&self) -> BTreeMap<String, (Place, bool)> {
        let mut places = BTreeMap::new();
        for role in self.roles.iter().filter(|role| role.is_changing()) {
            let key = format!("{:?}", role.place);
            let (_, is_owner) = places.entry(key).or_insert((role.place, false));
            *is_owner |= role.is_owner();
        }
        places
    }
}

/// What is not as it should be. `operator_acts` are acts with the operator's token of thirty days;
/// `None` when not the whole installation is looked at: then owners are not counted either.
pub fn findings(people: &[Person], operator_acts: Option<u64>, now: TimestampMs) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(acts) = operator_acts {
        owners(people, acts, &mut found);
    }
    for person in people {
        one(person, now, &mut found);
    }
    found
}

fn owners(people: &[Person], operator_acts: u64, found: &mut Vec<Finding>) {
    let owners: Vec<&str> = people
        .iter()
        .filter(|person| person.owns_installation())
        .map(|person| person.email.as_str())
        .collect();
    match owners.as_slice() {
        [] => found.push(OWNER_NONE.found("installation", "no active user is its owner")),
        [one] => found.push(OWNER_SINGLE.found("installation", format!("it is {one}"))),
        many if many.len() > OWNERS_MAX => {
            let text = format!("there are {}: {}", many.len(), many.join(", "));
            found.push(OWNERS_MANY.found("installation", text));
        }
        _ => {}
    }
    if !owners.is_empty() && operator_acts > OPERATOR_ACTS_MAX {
        let text = format!("{operator_acts} acts in thirty days");
        found.push(OPERATOR_TOKEN_USED.found("operator", text));
    }
}

fn one(person: &Person, now: TimestampMs, found: &mut Vec<Finding>) {
    let Person { id, email, standing, .. } = person;
    for (place, is_owner) in person.places().into_values() {
        match standing {
            Standing::Active => active(person, place, is_owner, now, found),
            Standing::Invited if now - person.created_at > INVITED_DAYS * DAY_MS => {
                let days = (now - person.created_at) / DAY_MS;
                let text = format!("{email} was invited {days} days ago");
                found.push(INVITATION_OLD.found_at(place, id, text));
            }
            Standing::Disabled => {
                let text = format!("{email} has roles here");
                found.push(DISABLED_WITH_ROLES.found_at(place, id, text));
            }
            Standing::Invited => {}
        }
    }
    if *standing != Standing::Active {
        return;
    }
    let everything = |role: &&Role| role.is_made && role.is_owner();
    for role in person.roles.iter().filter(everything) {
        let text = format!("`{}`, which {email} has", role.name);
        found.push(ROLE_EVERYTHING.found_at(role.place, &role.name, text));
    }
}

fn active(
    person: &Person,
    place: Place,
    is_owner: bool,
    now: TimestampMs,
    found: &mut Vec<Finding>,
) {
    let Person { id, email, .. } = person;
    if !person.is_strong {
        let owns_all = is_owner && place == Place::Installation;
        let check = if owns_all { &OWNER_ONE_FACTOR } else { &PERSON_ONE_FACTOR };
        let role = if is_owner { BuiltIn::Owner.name() } else { "more than a reader" };
        let text = format!("{email} is {role} here and has no second factor");
        found.push(check.found_at(place, id, text));
    }
    let seen = person.signed_in_at.unwrap_or(person.created_at);
    let days = (now - seen) / DAY_MS;
    if days >= ABSENT_DAYS {
        let text = format!("{email} last signed in {days} days ago");
        found.push(PERSON_ABSENT.found_at(place, id, text));
    }
}
