//! What a proven credential may do at an address: its scopes, its grants, and the access lists of
//! its project, asked in this order and in this one place, whatever protocol brought the request.

use crate::snapshot::ProjectSnapshot;
use metrics::{Counter, counter};
use port::{Claims, Code, Refusal, metric};
use rules::acl::{AccessRules, Place, Ruling, Tier, subject};
use rules::{grants, scopes};
use types::acl::{Facts, Named};
use types::{Access, Filter, Operation, Scope, TimestampMs, TopicName};

/// How often lists were asked, and what they said.
pub(crate) struct Meters {
    allowed: Counter,
    denied: Counter,
    unspoken: Counter,
    cached: Counter,
}

impl Meters {
    pub fn new() -> Meters {
        let decisions = |result: &'static str| counter!(metric::ACL_DECISIONS, "result" => result);
        Meters {
            allowed: decisions("allowed"),
            denied: decisions("denied"),
            unspoken: decisions("unspoken"),
            cached: counter!(metric::ACL_CACHED),
        }
    }

    fn count(&self, ruling: Ruling) {
        match ruling {
            Ruling::Allowed => self.allowed.increment(1),
            Ruling::Denied(_) => self.denied.increment(1),
            Ruling::Unspoken => self.unspoken.increment(1),
        }
    }
}

/// How an operation counts for scopes and grants, which know two.
fn access(operation: Operation) -> Access {
    match operation {
        Operation::Publish => Access::Publish,
        _ => Access::Subscribe,
    }
}

/// What the credential's own scopes and grants say, without any list.
///
/// # Errors
/// `INSUFFICIENT_SCOPE` or `ADDRESS_FORBIDDEN`.
pub fn own_rights(
    claims: &Claims,
    operation: Operation,
    topic: &TopicName,
    key: Option<&[u8]>,
) -> Result<(), Refusal> {
    let any = |wanted: &[Scope]| wanted.iter().any(|scope| claims.scopes.has(*scope));
    match operation {
        Operation::Manage => scopes::require(claims.scopes, Scope::AdminWrite),
        Operation::Describe
            if any(&[Scope::AdminRead, Scope::AdminWrite, Scope::EventsPublish]) =>
        {
            Ok(())
        }
        Operation::Describe => scopes::require(claims.scopes, Scope::EventsSubscribe),
        _ => grants::check_address(claims, access(operation), topic, key),
    }
}

/// What the credential's own scopes say of names that Kafka's clients give: who reads may be in
/// groups, who publishes may do it in transactions.
///
/// # Errors
/// `INSUFFICIENT_SCOPE`.
pub fn own_rights_to_name(claims: &Claims, named: Named) -> Result<(), Refusal> {
    scopes::require(
        claims.scopes,
        match named {
            Named::ConsumerGroup => Scope::EventsSubscribe,
            Named::TransactionalId => Scope::EventsPublish,
        },
    )
}

impl ProjectSnapshot {
    /// Refuses what the credential may not do at this address. For records and those who are
    /// present; topics as a whole are `check_topic`'s.
    ///
    /// # Errors
    /// `INSUFFICIENT_SCOPE` or `ADDRESS_FORBIDDEN`.
    pub fn check_address(
        &self,
        claims: &Claims,
        operation: Operation,
        topic: &TopicName,
        key: Option<&[u8]>,
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        grants::check_address(claims, access(operation), topic, key)?;
        self.check_lists(claims, operation, topic, key, now)
    }

    /// Refuses what the credential may not do at some address that the filter can match.
    ///
    /// # Errors
    /// `INSUFFICIENT_SCOPE` or `ADDRESS_FORBIDDEN`.
    pub fn check_filter(
        &self,
        claims: &Claims,
        operation: Operation,
        filter: &Filter,
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        grants::check_filter(claims, access(operation), filter)?;
        let Some(lists) = self.lists() else { return Ok(()) };
        let Some(subject) = subject(&claims.principal) else { return Ok(()) };
        let ruling = lists.decide_filter(&subject, operation, filter, &facts(claims, now));
        self.meters.count(ruling);
        let what = || format!("{operation} at every address of the filter `{filter}`");
        conclude(lists, claims, ruling, "filter", what)
    }

    /// Refuses what lists forbid with a topic as a whole: to see it, or to manage it. Scopes are
    /// the caller's to check.
    ///
    /// # Errors
    /// `ADDRESS_FORBIDDEN`.
    pub fn check_topic(
        &self,
        claims: &Claims,
        operation: Operation,
        topic: &TopicName,
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        self.check_lists(claims, operation, topic, None, now)
    }

    /// Refuses what the credential may not do with what Kafka's clients call so.
    ///
    /// # Errors
    /// `INSUFFICIENT_SCOPE` or `ADDRESS_FORBIDDEN`.
    pub fn check_name(
        &self,
        claims: &Claims,
        operation: Operation,
        (named, name): (Named, &str),
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        own_rights_to_name(claims, named)?;
        let Some(lists) = self.lists() else { return Ok(()) };
        let Some(subject) = subject(&claims.principal) else { return Ok(()) };
        let ruling = lists.decide_name(&subject, operation, (named, name), &facts(claims, now));
        self.meters.count(ruling);
        let what = || format!("{operation} in the {} `{name}`", named.noun());
        conclude(lists, claims, ruling, named.field(), what)
    }

    fn check_lists(
        &self,
        claims: &Claims,
        operation: Operation,
        topic: &TopicName,
        key: Option<&[u8]>,
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        let Some(lists) = self.lists() else { return Ok(()) };
        let Some(subject) = subject(&claims.principal) else { return Ok(()) };
        let decision = lists.decide(&subject, operation, topic, key, &facts(claims, now));
        self.meters.count(decision.ruling);
        if decision.is_cached {
            self.meters.cached.increment(1);
        }
        let field = if key.is_some() { "key" } else { "topic" };
        let what = || match key {
            Some(_) => format!("{operation} at the address in topic `{topic}`"),
            None => format!("{operation} in topic `{topic}`"),
        };
        conclude(lists, claims, decision.ruling, field, what)
    }

    /// The compiled lists that count here; `None` where there are none at all.
    pub fn lists(&self) -> Option<&AccessRules> {
        self.lists.as_ref().map(|lists| &lists.rules)
    }
}

fn facts(claims: &Claims, now: TimestampMs) -> Facts<'_> {
    Facts { origin: claims.origin, attributes: claims.attributes.as_deref(), now }
}

fn conclude(
    lists: &AccessRules,
    claims: &Claims,
    ruling: Ruling,
    field: &str,
    what: impl Fn() -> String,
) -> Result<(), Refusal> {
    let why = match ruling {
        Ruling::Allowed => return Ok(()),
        Ruling::Denied(place) => denial(lists, claims, place),
        Ruling::Unspoken => "no entry of the access lists allows".to_owned(),
    };
    Err(Refusal::new(Code::AddressForbidden, format!("{why} to {}", what()))
        .field(field)
        .hint("ask whoever manages the project's access list; `mainstem acl explain` tells more"))
}

/// Which entry it was is told to those who may look at the project's administration.
fn denial(lists: &AccessRules, claims: &Claims, place: Place) -> String {
    match lists.name_of(place).filter(|_| claims.scopes.has(Scope::AdminRead)) {
        Some(name) if name.tier == Tier::Project => {
            format!("the entry `{}` of the access list denies", name.id)
        }
        // What is above the project is not the project's to look at.
        Some(name) => format!("the access list of the {} denies", name.tier.name()),
        None => "the access lists deny".to_owned(),
    }
}
