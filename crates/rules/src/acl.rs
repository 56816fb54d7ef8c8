//! Access lists, compiled: one list each for the installation, the tenant and the project, asked
//! together. A denying entry of any of them wins; else an allowing one of any of them; else the
//! default. Compiled once per change into tables that nobody writes to any more, so deciding takes
//! no lock; entries that hold whatever the client's circumstances are remembered besides.
//!
//! ```text
//! topic -> literal | prefixes of it | any  ->  key -> all | literal | prefixes of it | levels
//!       -> rules of that place, sorted by whom they speak of  ->  is it the principal's?
//! ```
//! What costs is what matches: neither the number of topics nor that of principals.

mod advice;
mod cache;
mod compile;
mod diff;
mod explain;
mod index;
mod levels;
mod overlap;
mod prefixes;

pub use advice::advise;
pub use diff::{Changed, Difference, GroupChange, difference};
pub use explain::{Asking, Considered, Explanation, What, explain, merged_default};

use cache::Cache;
use index::{Bucket, RuleAt, Tables, Whose};
use port::identity::{OPERATOR, PLATFORM};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use types::acl::{Facts, Named, USER_PREFIX};
use types::{AccessList, Effect, Filter, Operation, PrincipalId, TopicName};

/// Whose list it is, from the widest to the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Installation,
    Tenant,
    Project,
}

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Tier::Installation => "installation",
            Tier::Tenant => "tenant",
            Tier::Project => "project",
        }
    }
}

/// The members of groups, by name: of a list's own and of those above it.
pub type Groups = HashMap<Box<str>, Arc<[Box<str>]>>;

/// One list, compiled.
pub struct CompiledList {
    tier: Tier,
    default: Option<Effect>,
    groups: Groups,
    tables: Tables,
}

impl std::fmt::Debug for CompiledList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "list of the {} with {} entries", self.tier.name(), self.entries())
    }
}

impl CompiledList {
    /// `above` are the groups of the lists above, which its entries may name. An entry that the
    /// check of lists would have refused is left out when it allows and stands for everything when
    /// it denies: what cannot be read must not open anything.
    pub fn new(tier: Tier, list: &AccessList, above: &Groups) -> CompiledList {
        compile::compile(tier, list, above)
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    pub fn entries(&self) -> usize {
        self.tables.entries()
    }
}

/// Which entry decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName<'a> {
    pub tier: Tier,
    pub id: &'a str,
}

/// What the lists say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// An entry allows it, or the default does.
    Allowed,
    /// This entry denies it.
    Denied(Place),
    /// No entry allows it.
    Unspoken,
}

/// Where an entry stands: which list of the rules, which entry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    list: u8,
    entry: u32,
}

/// What rules say while they are looked through.
struct Heard {
    operation: Operation,
    denied: Option<u32>,
    spoken: Option<Effect>,
    /// Circumstances had no part in it.
    is_lasting: bool,
}

impl Heard {
    fn new(operation: Operation) -> Heard {
        Heard { operation, denied: None, spoken: None, is_lasting: true }
    }

    fn hear(&mut self, tables: &Tables, whose: Whose<'_>, bucket: Bucket, facts: &Facts<'_>) {
        tables.scan(bucket, whose, self.operation, |rule| {
            if let Some(when) = tables.when(rule) {
                self.is_lasting = false;
                if !when.holds(facts) {
                    return;
                }
            }
            match rule.effect {
                Effect::Deny => self.denied = Some(rule.entry),
                Effect::Allow => self.spoken = Some(Effect::Allow),
            }
        });
    }
}

/// A ruling, and whether it was remembered from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub ruling: Ruling,
    pub is_cached: bool,
}

/// All lists that count in one project.
#[derive(Debug)]
pub struct AccessRules {
    lists: Vec<Arc<CompiledList>>,
    default: Effect,
    cache: Cache,
    has_times: bool,
}

/// Who asks, as lists name him; `None`: whoever operates the installation, and the platform itself,
/// whom no list binds.
pub fn subject(principal: &PrincipalId) -> Option<Cow<'_, str>> {
    match &*principal.0 {
        OPERATOR | PLATFORM => None,
        user if user.starts_with("usr_") => {
            let id = user.split_once(':').map_or(user, |(id, _)| id);
            Some(Cow::Owned(format!("{USER_PREFIX}{id}")))
        }
        other => Some(Cow::Borrowed(other)),
    }
}

/// Users act by the admin API, where their roles allow it: lists can deny them something, and need
/// not allow it again.
fn is_user(subject: &str) -> bool {
    subject.starts_with(USER_PREFIX)
}

impl AccessRules {
    /// From the widest to the narrowest.
    pub fn new(lists: Vec<Arc<CompiledList>>) -> AccessRules {
        let default = lists.iter().rev().find_map(|list| list.default).unwrap_or(Effect::Deny);
        let has_times = lists.iter().any(|list| list.tables.has_times());
        AccessRules { lists, default, cache: Cache::default(), has_times }
    }

    /// Whether what is allowed now may be denied a minute later without any change.
    pub fn has_times(&self) -> bool {
        self.has_times
    }

    pub fn name_of(&self, place: Place) -> Option<EntryName<'_>> {
        let list = self.lists.get(usize::from(place.list))?;
        Some(EntryName { tier: list.tier, id: list.tables.id(place.entry)? })
    }

    /// May this subject do this at this address. Topics as a whole have no key.
    pub fn decide(
        &self,
        subject: &str,
        operation: Operation,
        topic: &TopicName,
        key: Option<&[u8]>,
        facts: &Facts<'_>,
    ) -> Decision {
        let key = key.filter(|_| !operation.is_of_topic());
        let asked = cache::Asked { subject, operation, topic, key };
        let hash = self.cache.hash(&asked);
        if let Some(ruling) = self.cache.get(hash, &asked) {
            return Decision { ruling, is_cached: true };
        }
        let (ruling, is_lasting) = self.decide_anew(&asked, facts);
        if is_lasting {
            self.cache.put(hash, &asked, ruling);
        }
        Decision { ruling, is_cached: false }
    }

    /// The ruling without anything remembered, and whether circumstances had no part in it.
    fn decide_anew(&self, asked: &cache::Asked<'_>, facts: &Facts<'_>) -> (Ruling, bool) {
        let mut heard = Heard::new(asked.operation);
        for (number, list) in (0..).zip(&self.lists) {
            let tables = &list.tables;
            let whose = tables.whose(asked.subject);
            tables.visit(asked.topic, asked.key, |bucket| heard.hear(tables, whose, bucket, facts));
            if let Some(entry) = heard.denied {
                return (Ruling::Denied(Place { list: number, entry }), heard.is_lasting);
            }
        }
        (self.conclude(asked.subject, heard.spoken), heard.is_lasting)
    }

    /// May this subject do this with what Kafka's clients call so. A name that no entry gives
    /// anybody is everybody's; one that an entry does is theirs whom entries give it.
    pub fn decide_name(
        &self,
        subject: &str,
        operation: Operation,
        (named, name): (Named, &str),
        facts: &Facts<'_>,
    ) -> Ruling {
        let mut heard = Heard::new(operation);
        let mut is_given = false;
        for (number, list) in (0..).zip(&self.lists) {
            let tables = &list.tables;
            let whose = tables.whose(subject);
            tables.visit_name(named, name, |bucket| {
                is_given |= tables.gives(bucket);
                heard.hear(tables, whose, bucket, facts);
            });
            if let Some(entry) = heard.denied {
                return Ruling::Denied(Place { list: number, entry });
            }
        }
        if is_given { self.conclude(subject, heard.spoken) } else { Ruling::Allowed }
    }

    /// `spoken` is what entries say, none of which denies.
    fn conclude(&self, subject: &str, spoken: Option<Effect>) -> Ruling {
        let is_allowed = spoken.unwrap_or(self.default) == Effect::Allow;
        match is_allowed || is_user(subject) {
            true => Ruling::Allowed,
            false => Ruling::Unspoken,
        }
    }

    /// May this subject do this at every address that the filter can match: no denying entry shares
    /// one with it, and one allowing entry covers it whole. May be too strict, never too lax.
    pub fn decide_filter(
        &self,
        subject: &str,
        operation: Operation,
        filter: &Filter,
        facts: &Facts<'_>,
    ) -> Ruling {
        let mut spoken = None;
        for (number, list) in (0..).zip(&self.lists) {
            let tables = &list.tables;
            let whose = tables.whose(subject);
            let holds = |rule: &RuleAt| tables.when(rule).is_none_or(|when| when.holds(facts));
            let mut denied = None;
            overlap::visit(tables, filter, |bucket, fit| {
                tables.scan(bucket, whose, operation, |rule| match rule.effect {
                    Effect::Deny if fit.overlaps && holds(rule) => denied = Some(rule.entry),
                    Effect::Allow if fit.covers && holds(rule) => spoken = Some(Effect::Allow),
                    _ => {}
                });
            });
            if let Some(entry) = denied {
                return Ruling::Denied(Place { list: number, entry });
            }
        }
        self.conclude(subject, spoken)
    }
}
