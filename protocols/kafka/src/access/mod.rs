//! Access lists in Kafka's words (KIP-11, KIP-290): what of a list can be said in them, and what a
//! change said in them makes of a list. Pure; it must not know who asks.
//!
//! An entry is said as every combination of its principals, hosts and operations. One that holds
//! at some times, over TLS, for some keys of a topic or by what tokens say cannot be said: it is
//! left out, and no change said in Kafka's words touches it.

mod change;
pub mod words;

pub use change::{Draft, add, remove};

use crate::messages::create_acls::AclCreation;
use crate::messages::delete_acls::DeleteAclsFilter;
use crate::messages::describe_acls::DescribeAclsRequest;
use std::collections::BTreeSet;
use types::acl::{NameMatch, Named, Resource, TopicPattern, When};
use types::{AccessEntry, AccessList, Operations};
use words::{ANY, LITERAL, MATCH, PREFIXED};

/// What a list may be said as at most.
pub const BINDINGS_MAX: usize = 50_000;

/// The resource that a binding is about: topics, groups or transactional ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// `TOPIC`, `GROUP` or `TRANSACTIONAL_ID`.
    pub resource: i8,
    pub name: String,
    /// `LITERAL` or `PREFIXED`.
    pub kind: i8,
}

/// What Kafka calls an ACL binding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    pub pattern: Pattern,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    /// `DENY` or `ALLOW`.
    pub permission: i8,
}

/// A list has more to say than is ever told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access list comes to more than {BINDINGS_MAX} entries of Kafka's: use the admin API")]
pub struct TooMany;

/// All that can be said of a list, each once, in the order of resources.
///
/// # Errors
/// When that is too much.
pub fn bindings(list: &AccessList) -> Result<BTreeSet<Binding>, TooMany> {
    let mut found = BTreeSet::new();
    let mut left = BINDINGS_MAX;
    for said in list.entries.iter().filter_map(Said::of) {
        left = left.checked_sub(said.count()).ok_or(TooMany)?;
        found.extend(said.bindings());
    }
    Ok(found)
}

/// An entry as it can be said.
struct Said {
    pattern: Pattern,
    permission: i8,
    principals: Vec<String>,
    hosts: Vec<String>,
    operations: Operations,
}

impl Said {
    /// `None`: it cannot be said, or grants nothing that Kafka has a word for.
    fn of(entry: &AccessEntry) -> Option<Said> {
        let when = &entry.when;
        let is_plain = when.times.is_empty() && when.attributes.is_empty() && when.tls.is_none();
        let pattern = pattern(entry)?;
        if !is_plain || words::said(pattern.resource, entry.operations).is_empty() {
            return None;
        }
        let hosts = match when.networks.as_slice() {
            [] => vec![words::EVERYWHERE.to_owned()],
            networks => networks.iter().map(words::host).collect(),
        };
        Some(Said {
            pattern,
            permission: words::permission(entry.effect),
            principals: entry.principals.iter().map(|it| words::principal(it)).collect(),
            hosts,
            operations: entry.operations,
        })
    }

    fn count(&self) -> usize {
        let words = words::said(self.pattern.resource, self.operations).len();
        self.principals.len().saturating_mul(self.hosts.len()).saturating_mul(words)
    }

    /// What is said of one principal at one host.
    fn bindings_at(&self, (principal, host): (usize, usize)) -> Vec<Binding> {
        let (principal, host) = (self.principals.get(principal), self.hosts.get(host));
        let Some((principal, host)) = principal.zip(host) else { return Vec::new() };
        let binding = |operation| Binding {
            pattern: self.pattern.clone(),
            principal: principal.clone(),
            host: host.clone(),
            operation,
            permission: self.permission,
        };
        words::said(self.pattern.resource, self.operations).into_iter().map(binding).collect()
    }

    fn bindings(&self) -> impl Iterator<Item = Binding> {
        let places = (0..self.principals.len())
            .flat_map(|principal| (0..self.hosts.len()).map(move |host| (principal, host)));
        places.flat_map(|place| self.bindings_at(place))
    }
}

/// `None`: the entry speaks of some keys of a topic only.
fn pattern(entry: &AccessEntry) -> Option<Pattern> {
    let everything = || (words::EVERYWHERE.to_owned(), LITERAL);
    let (resource, (name, kind)) = match entry.resource()? {
        Resource::Addresses(at) if !at.key.is_all() => return None,
        Resource::Addresses(at) => (
            words::TOPIC,
            match at.topic {
                TopicPattern::Any => everything(),
                TopicPattern::Exact(name) => (name.to_string(), LITERAL),
                TopicPattern::Prefix(prefix) => (prefix.into(), PREFIXED),
            },
        ),
        Resource::Names(named, name) => (
            match named {
                Named::ConsumerGroup => words::GROUP,
                Named::TransactionalId => words::TRANSACTIONAL_ID,
            },
            match name {
                NameMatch::Prefix(prefix) if prefix.is_empty() => everything(),
                NameMatch::Prefix(prefix) => (prefix, PREFIXED),
                NameMatch::Literal(name) => (name, LITERAL),
            },
        ),
    };
    Some(Pattern { resource, name, kind })
}

/// Which bindings are meant (KIP-290); what is `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub resource_type: i8,
    pub name: Option<String>,
    pub pattern_type: i8,
    pub principal: Option<String>,
    pub host: Option<String>,
    pub operation: i8,
    pub permission: i8,
}

impl Filter {
    /// # Errors
    /// When one of its numbers means nothing.
    pub fn check(&self) -> Result<(), &'static str> {
        if !words::RESOURCES.contains(&self.resource_type) {
            return Err("there is no such type of resource");
        }
        if !(ANY..=PREFIXED).contains(&self.pattern_type) {
            return Err("there is no such type of pattern");
        }
        if !words::OPERATIONS.contains(&self.operation) {
            return Err("there is no such operation");
        }
        if !(ANY..=words::ALLOW).contains(&self.permission) {
            return Err("there is no such type of permission");
        }
        Ok(())
    }

    /// Principals and hosts as they are told, however they were written.
    fn written(mut self) -> Filter {
        self.principal = self.principal.map(|text| match words::parse_principal(&text) {
            Ok(known) => words::principal(&known),
            Err(_) => text,
        });
        self.host = self.host.map(|text| match text.parse() {
            Ok(network) => words::host(&network),
            Err(_) => text,
        });
        self
    }

    pub fn matches(&self, binding: &Binding) -> bool {
        let is_any_or = |wanted: i8, found: i8| wanted == ANY || wanted == found;
        let is_named = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is_any_or(self.resource_type, binding.pattern.resource)
            && is_any_or(self.operation, binding.operation)
            && is_any_or(self.permission, binding.permission)
            && is_named(&self.principal, &binding.principal)
            && is_named(&self.host, &binding.host)
            && self.takes(&binding.pattern)
    }

    fn takes(&self, pattern: &Pattern) -> bool {
        let Some(name) = &self.name else {
            return matches!(self.pattern_type, ANY | MATCH) || self.pattern_type == pattern.kind;
        };
        match self.pattern_type {
            MATCH if pattern.kind == PREFIXED => name.starts_with(&pattern.name),
            MATCH => pattern.name == *name || pattern.name == words::EVERYWHERE,
            ANY => pattern.name == *name,
            kind => pattern.kind == kind && pattern.name == *name,
        }
    }
}

impl From<DescribeAclsRequest> for Filter {
    fn from(asked: DescribeAclsRequest) -> Filter {
        Filter {
            resource_type: asked.resource_type_filter,
            name: asked.resource_name_filter,
            pattern_type: asked.pattern_type_filter,
            principal: asked.principal_filter,
            host: asked.host_filter,
            operation: asked.operation,
            permission: asked.permission_type,
        }
        .written()
    }
}

impl From<DeleteAclsFilter> for Filter {
    fn from(asked: DeleteAclsFilter) -> Filter {
        Filter {
            resource_type: asked.resource_type_filter,
            name: asked.resource_name_filter,
            pattern_type: asked.pattern_type_filter,
            principal: asked.principal_filter,
            host: asked.host_filter,
            operation: asked.operation,
            permission: asked.permission_type,
        }
        .written()
    }
}

/// What is to be added; an error says why it cannot be.
impl TryFrom<AclCreation> for Draft {
    type Error = String;

    fn try_from(asked: AclCreation) -> Result<Draft, String> {
        words::check_resource(asked.resource_type)?;
        let (principal, network) =
            (words::parse_principal(&asked.principal)?, words::parse_host(&asked.host)?);
        let resource = asked.resource_type;
        let (name, kind) = (asked.resource_name, asked.resource_pattern_type);
        let topic = || words::parse_topic(&name, kind);
        let named = || words::parse_name(&name, kind);
        let is = |kind: i8| resource == kind;
        let entry = AccessEntry {
            id: String::new(),
            effect: words::parse_permission(asked.permission_type)?,
            principals: vec![principal.clone()],
            operations: words::meant(resource, asked.operation)?,
            topic: is(words::TOPIC).then(topic).transpose()?,
            key: None,
            consumer_group: is(words::GROUP).then(named).transpose()?,
            transactional_id: is(words::TRANSACTIONAL_ID).then(named).transpose()?,
            when: When { networks: network.into_iter().collect(), ..When::default() },
            note: String::new(),
        };
        let binding = Binding {
            pattern: Pattern { resource, name, kind },
            principal: words::principal(&principal),
            host: network.as_ref().map_or(words::EVERYWHERE.to_owned(), words::host),
            operation: asked.operation,
            permission: asked.permission_type,
        };
        Ok(Draft { binding, entry })
    }
}
