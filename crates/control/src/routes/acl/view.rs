//! Access lists as bodies and answers show them. The values are `types::acl`'s; the structs named
//! `...Schema` only describe them.

use super::EntriesQuery;
use crate::lists::{About, Answered};
use port::{Code, Refusal};
use rules::acl::{Considered, Difference};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use tenancy::ListVersion;
use types::acl::{Attributes, EVERYBODY, GROUP_PREFIX, Named, Problem, Resource};
use types::{AccessEntry, AccessList, Effect, Operation, TimestampMs, TopicName};
use utoipa::ToSchema;

/// When an entry counts; all that is named must hold.
#[derive(ToSchema)]
#[schema(as = AccessWhen)]
#[allow(dead_code, reason = "describes; the value itself is `types::acl::When`")]
pub(crate) struct WhenSchema {
    /// The client's address is in one of these: `10.0.0.0/8`, `2001:db8::/32`.
    networks: Option<Vec<String>>,
    /// `{"days": ["mon"], "from": "08:00", "to": "18:00"}`, UTC; no days are all days.
    times: Option<Vec<Value>>,
    /// Over TLS, or not.
    tls: Option<bool>,
    /// The token has each of these claims with one of the values.
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(ToSchema)]
#[schema(as = AccessEntry)]
#[allow(dead_code, reason = "describes; the value itself is `types::AccessEntry`")]
pub(crate) struct EntrySchema {
    /// Unique in its list: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`.
    id: String,
    /// `allow` or `deny`.
    effect: String,
    /// `*`, `key:<key id>`, `jwt:<subject>`, `user:<user id>`, `group:<name>`.
    principals: Vec<String>,
    /// `publish`, `read`, `subscribe`, `presence`, `describe`, `manage`, `all`.
    operations: Vec<String>,
    /// `{"literal": "orders"}`, `{"prefix": "ord"}` or `{"filter": "orders/eu/+"}`. An entry has
    /// this, `consumer_group` or `transactional_id`, and only one of them.
    topic: Option<Value>,
    /// `{"literal": "eu/7"}`, `{"prefix": "eu/"}` or `{"filter": "eu/+"}`; absent: every key.
    key: Option<Value>,
    /// Groups of Kafka's consumers: `{"literal": "billing"}` or `{"prefix": "bill"}`; the prefix
    /// `""` is every group.
    consumer_group: Option<Value>,
    /// Transactional ids of Kafka's producers, as groups are named.
    transactional_id: Option<Value>,
    when: Option<WhenSchema>,
    note: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = AccessList)]
#[allow(dead_code, reason = "describes; the value itself is `types::AccessList`")]
pub(crate) struct ListSchema {
    /// `allow` or `deny`; absent: what the list above says, and `deny` when none says so.
    default: Option<String>,
    groups: Option<BTreeMap<String, Vec<String>>>,
    entries: Vec<EntrySchema>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessListVersion)]
pub(crate) struct VersionView {
    version: u64,
    /// How many entries it has.
    entries: u64,
    /// There is no list since this version.
    is_removed: bool,
    actor: String,
    note: String,
    at: TimestampMs,
}

impl From<ListVersion> for VersionView {
    fn from(found: ListVersion) -> VersionView {
        let ListVersion { version, entries, is_removed, actor, note, at } = found;
        VersionView { version, entries, is_removed, actor, note, at }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessListAnswer)]
pub(crate) struct ListView {
    /// 0: there never was one.
    version: u64,
    /// `null`: there is none.
    #[schema(value_type = Option<ListSchema>)]
    list: Option<AccessList>,
    /// Who wrote this version, when and why.
    about: Option<VersionView>,
}

impl From<Option<(ListVersion, Option<AccessList>)>> for ListView {
    fn from(found: Option<(ListVersion, Option<AccessList>)>) -> ListView {
        match found {
            Some((about, list)) => {
                ListView { version: about.version, list, about: Some(about.into()) }
            }
            None => ListView { version: 0, list: None, about: None },
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutAccessList)]
pub(crate) struct PutList {
    /// The whole list; `null` removes it, so that nothing is asked here any more.
    #[serde(deserialize_with = "required")]
    #[schema(value_type = Option<ListSchema>)]
    pub(crate) list: Option<AccessList>,
    /// The version it was made from: refused when there is a newer. Absent: whatever there is.
    pub(crate) version: Option<u64>,
    /// Why, for whoever looks at the versions.
    #[serde(default)]
    pub(crate) note: String,
}

/// `null` is said, not left out: a body without a list removes nothing by accident.
fn required<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<AccessList>, D::Error> {
    Option::deserialize(from)
}

/// `null` is not the same as nothing.
fn said<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(from).map(Some)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchAccessList)]
pub(crate) struct PatchList {
    /// New entries, at the end.
    #[serde(default)]
    #[schema(value_type = Vec<EntrySchema>)]
    pub(crate) add: Vec<AccessEntry>,
    /// Entries in place of those with the same identifiers.
    #[serde(default)]
    #[schema(value_type = Vec<EntrySchema>)]
    pub(crate) replace: Vec<AccessEntry>,
    /// Identifiers of entries that go.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
    /// Groups with all their members; `null` removes one.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Option<Vec<String>>>)]
    pub(crate) groups: BTreeMap<String, Option<Vec<String>>>,
    /// `allow`, `deny`, or `null` for saying nothing of it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub(crate) default: Option<Option<Effect>>,
    /// The version the change was made from: refused when there is a newer.
    pub(crate) version: Option<u64>,
    /// Why, for whoever looks at the versions.
    #[serde(default)]
    pub(crate) note: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessEntryPage)]
pub(crate) struct EntryList {
    /// Of the list.
    pub(crate) version: u64,
    /// How many fit.
    pub(crate) total: usize,
    #[schema(value_type = Vec<EntrySchema>)]
    pub(crate) entries: Vec<AccessEntry>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessListVersionPage)]
pub(crate) struct VersionList {
    pub(crate) versions: Vec<VersionView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessListDifference)]
pub(crate) struct DifferenceView {
    from: u64,
    to: u64,
    /// Nothing is different.
    is_same: bool,
    /// `default`, `groups`, and the entries that were `added`, `removed` and `changed`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    difference: Difference,
}

impl DifferenceView {
    pub(crate) fn new(from: u64, to: u64, difference: Difference) -> DifferenceView {
        DifferenceView { from, to, is_same: difference.is_none(), difference }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RollBackAccessList)]
pub(crate) struct RollBackList {
    /// The version to go back to; it is put into force as a new version.
    pub(crate) version: u64,
    /// Why, for whoever looks at the versions.
    #[serde(default)]
    pub(crate) note: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ValidateAccessList)]
pub(crate) struct ValidateList {
    #[schema(value_type = ListSchema)]
    pub(crate) list: AccessList,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ValidatedAccessList)]
pub(crate) struct Validated {
    /// It could be taken as it is.
    pub(crate) is_valid: bool,
    /// What keeps it from being taken: `field` and `message` of each.
    #[schema(value_type = Vec<Object>)]
    pub(crate) problems: Vec<Problem>,
    /// What is odd about it: entries that never count, topics and keys that are not there.
    #[schema(value_type = Vec<Object>)]
    pub(crate) warnings: Vec<Problem>,
    /// What it would change.
    pub(crate) changes: DifferenceView,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExplainAccess)]
pub(crate) struct ExplainList {
    /// `key:<key id>`, `jwt:<subject>` or `user:<user id>`.
    pub(crate) principal: String,
    #[schema(value_type = String)]
    pub(crate) operation: Operation,
    /// One of this, `consumer_group` and `transactional_id`.
    #[schema(value_type = Option<String>)]
    topic: Option<TopicName>,
    key: Option<String>,
    consumer_group: Option<String>,
    transactional_id: Option<String>,
    /// Where the client is; absent: not known, so that no condition on networks or TLS holds.
    #[schema(value_type = Option<String>)]
    pub(crate) address: Option<IpAddr>,
    /// Whether it comes over TLS.
    #[serde(default)]
    pub(crate) tls: bool,
    /// What the token says beyond the registered claims.
    #[serde(default)]
    attributes: BTreeMap<String, Vec<String>>,
    /// When (ms since 1970, UTC); now when absent.
    pub(crate) at: Option<TimestampMs>,
    /// Tried in place of the list as it is.
    #[schema(value_type = Option<ListSchema>)]
    pub(crate) list: Option<AccessList>,
}

impl ExplainList {
    /// # Errors
    /// When it asks about nothing, or about several things.
    pub(crate) fn about(&self) -> Result<About, Refusal> {
        let ExplainList { topic, key, consumer_group, transactional_id, .. } = self;
        match (topic, consumer_group, transactional_id, key) {
            (Some(topic), None, None, key) => {
                Ok(About::Address { topic: topic.clone(), key: key.clone() })
            }
            (None, Some(name), None, None) => Ok(About::Name(Named::ConsumerGroup, name.clone())),
            (None, None, Some(name), None) => Ok(About::Name(Named::TransactionalId, name.clone())),
            _ => {
                let why = "ask about a `topic`, with a `key` or without, about a `consumer_group` \
                           or about a `transactional_id`";
                Err(Refusal::new(Code::InvalidRequest, why).field("topic"))
            }
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let values = |values: &Vec<String>| values.iter().map(|it| it.as_str().into()).collect();
        self.attributes.iter().map(|(name, of)| (name.as_str().into(), values(of))).collect()
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExplainedAccess)]
pub(crate) struct Explained {
    /// All in all, as far as it is known.
    is_allowed: bool,
    /// What decided, in words.
    reason: String,
    /// What the lists say alone.
    lists_allow: bool,
    /// The entry that decided; its name is left out where you may not see the list.
    #[schema(value_type = Option<Object>)]
    decided_by: Option<Considered>,
    /// Entries about the topic or the name, those that count first, each with what it lacks.
    #[schema(value_type = Vec<Object>)]
    considered: Vec<Considered>,
    /// There are more entries about it.
    is_cut: bool,
    /// What the credential's own scopes and grants say: `allowed`, `refused`, or `unknown` for
    /// tokens, whose scopes are in the token.
    credential: &'static str,
    /// Why they refuse, if they do.
    credential_reason: Option<String>,
}

impl From<Answered> for Explained {
    fn from(found: Answered) -> Explained {
        let Answered { lists, credential } = found;
        let (word, why) = match &credential {
            None => ("unknown", None),
            Some(Ok(())) => ("allowed", None),
            Some(Err(refusal)) => ("refused", Some(refusal.message().to_owned())),
        };
        let is_refused = matches!(credential, Some(Err(_)));
        let reason = match &why {
            Some(why) => why.clone(),
            None => lists.reason,
        };
        Explained {
            is_allowed: lists.allowed && !is_refused,
            reason,
            lists_allow: lists.allowed,
            decided_by: lists.decided_by,
            considered: lists.considered,
            is_cut: lists.is_cut,
            credential: word,
            credential_reason: why,
        }
    }
}

/// Entries that fit a query, in the order of the list.
pub(super) fn fitting<'a>(list: &'a AccessList, query: &EntriesQuery) -> Vec<&'a AccessEntry> {
    let names = |entry: &AccessEntry, wanted: &str| {
        entry.principals.iter().any(|name| match name.strip_prefix(GROUP_PREFIX) {
            _ if name == wanted || name == EVERYBODY => true,
            Some(group) => {
                list.groups.get(group).is_some_and(|of| of.iter().any(|it| it == wanted))
            }
            None => false,
        })
    };
    let speaks_of = |entry: &AccessEntry, topic: &TopicName| {
        let resource = entry.resource();
        let addresses = resource.as_ref().and_then(Resource::addresses);
        addresses.is_some_and(|at| at.topic.matches(topic))
    };
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let has = |entry: &AccessEntry, text: &str| {
        entry.id.to_lowercase().contains(text) || entry.note.to_lowercase().contains(text)
    };
    let fits = |entry: &&AccessEntry| {
        query.effect.is_none_or(|effect| entry.effect == effect)
            && query.operation.is_none_or(|operation| entry.operations.has(operation))
            && query.principal.as_deref().is_none_or(|wanted| names(entry, wanted))
            && query.topic.as_ref().is_none_or(|topic| speaks_of(entry, topic))
            && text.as_deref().is_none_or(|text| has(entry, text))
    };
    list.entries.iter().filter(fits).collect()
}
