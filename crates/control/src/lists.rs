//! Access lists as the admin API works on them: where one is, what it may name, what a change to it
//! comes to, and why somebody may or may not do something. The routes are in `routes::acl`.

use crate::admin::Admin;
use port::{Change, Claims, Code, Refusal};
use rules::acl::{Considered, Explanation, Tier, What, difference, explain};
use rules::{Permission, Place};
use std::collections::{BTreeMap, HashSet};
use tenancy::{ListOwner, ListVersion, NewListVersion, PAGE_ITEMS_MAX};
use types::acl::{
    Attributes, ENTRIES_MAX, Facts, KEY_PREFIX, LIST_BYTES_MAX, Named, Origin, Problem, TopicMatch,
};
use types::{
    AccessEntry, AccessList, Effect, KeyId, Operation, PrincipalId, ProjectId, TenantId,
    TimestampMs, TopicName,
};

/// Pages of topics and of keys that a list is compared with.
const PAGES_MAX: usize = 20;

/// Where a list is, once it was checked that whoever asks may be there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) owner: ListOwner,
    place: Place,
}

impl At {
    /// Refuses unless the permission is held there and there is such a place.
    pub(crate) async fn new(
        admin: &Admin,
        permission: Permission,
        named: (Option<TenantId>, Option<ProjectId>),
    ) -> Result<At, Refusal> {
        let (owner, place) = match named {
            (None, None) => (ListOwner::Installation, Place::Installation),
            (Some(tenant), None) => (ListOwner::Tenant(tenant), Place::Tenant(tenant)),
            (Some(tenant), Some(project)) => {
                (ListOwner::Project(tenant, project), Place::Project(tenant, project))
            }
            (None, Some(_)) => {
                let why = "a project is named together with its tenant";
                return Err(Refusal::new(Code::InvalidRequest, why).field("tenant"));
            }
        };
        admin.require(permission, place)?;
        match owner {
            ListOwner::Installation => {}
            ListOwner::Tenant(tenant) => drop(admin.tenancy.tenant(tenant).await?),
            ListOwner::Project(tenant, project) => {
                admin.tenancy.project(tenant, project).await?;
            }
        }
        Ok(At { owner, place })
    }

    /// The lists above this one, from the widest.
    fn above(self) -> Vec<(Tier, ListOwner)> {
        let installation = (Tier::Installation, ListOwner::Installation);
        match self.owner {
            ListOwner::Installation => Vec::new(),
            ListOwner::Tenant(_) => vec![installation],
            ListOwner::Project(tenant, _) => {
                vec![installation, (Tier::Tenant, ListOwner::Tenant(tenant))]
            }
        }
    }

    fn tier(self) -> Tier {
        match self.owner {
            ListOwner::Installation => Tier::Installation,
            ListOwner::Tenant(_) => Tier::Tenant,
            ListOwner::Project(..) => Tier::Project,
        }
    }

    /// The newest list; version 0 and no list where there never was one.
    pub(crate) async fn newest(self, admin: &Admin) -> Result<(u64, Option<AccessList>), Refusal> {
        let found = admin.tenancy.access_list(self.owner, None).await?;
        Ok(found.map_or((0, None), |(about, list)| (about.version, list)))
    }

    /// One version, which must be there.
    pub(crate) async fn version(
        self,
        admin: &Admin,
        version: u64,
    ) -> Result<(ListVersion, Option<AccessList>), Refusal> {
        let found = admin.tenancy.access_list(self.owner, Some(version)).await?;
        found.ok_or_else(|| {
            let why = format!("there is no version {version} of this list, or not any more");
            Refusal::new(Code::NotFound, why).field("version")
        })
    }

    /// A version for comparing: 0 is the empty list before the first.
    pub(crate) async fn side(self, admin: &Admin, version: u64) -> Result<AccessList, Refusal> {
        match version {
            0 => Ok(AccessList::default()),
            version => Ok(self.version(admin, version).await?.1.unwrap_or_default()),
        }
    }

    async fn groups_above(self, admin: &Admin) -> Result<HashSet<String>, Refusal> {
        let mut names = HashSet::new();
        for (_, owner) in self.above() {
            let found = admin.tenancy.access_list(owner, None).await?;
            let list = found.and_then(|(_, list)| list).unwrap_or_default();
            names.extend(list.groups.into_keys());
        }
        Ok(names)
    }

    /// All that keeps a list from being taken.
    pub(crate) async fn problems(
        self,
        admin: &Admin,
        list: &AccessList,
    ) -> Result<Vec<Problem>, Refusal> {
        let mut problems = list.problems(&self.groups_above(admin).await?);
        // A list is data of our own types: writing it cannot fail.
        let bytes = serde_json::to_vec(list).map_or(usize::MAX, |text| text.len());
        if bytes > LIST_BYTES_MAX {
            let message = format!("a list has at most {LIST_BYTES_MAX} bytes");
            problems.push(Problem { field: "entries".to_owned(), message });
        }
        Ok(problems)
    }

    /// Checks a list, makes it the newest version, and tells the node.
    pub(crate) async fn write(
        self,
        admin: &Admin,
        list: Option<AccessList>,
        from: Option<u64>,
        note: String,
    ) -> Result<ListVersion, Refusal> {
        if let Some(list) = &list {
            refuse(self.problems(admin, list).await?)?;
        }
        let (_, before) = self.newest(admin).await?;
        let changed = difference(&before.unwrap_or_default(), &list.clone().unwrap_or_default());
        let details = changed.summary();
        let new = NewListVersion { list, from, note, details };
        let made = admin.tenancy.put_access_list(self.owner, new, &admin.actor()).await?;
        match self.owner {
            ListOwner::Project(_, project) => admin.changed(Change::Project(project)),
            ListOwner::Tenant(tenant) => admin.changed(Change::Tenant(tenant)),
            // Every project in use is read again within a second.
            ListOwner::Installation => {}
        }
        Ok(made)
    }

    /// What is odd about a list that could be taken, seen with the project's topics and keys.
    pub(crate) async fn warnings(
        self,
        admin: &Admin,
        list: &AccessList,
    ) -> Result<Vec<Problem>, Refusal> {
        let mut warnings = rules::acl::advise(list);
        let Place::Project(tenant, project) = self.place else { return Ok(warnings) };
        let (topics, keys) = (topics(admin, tenant, project).await?, keys(admin, tenant, project));
        let keys = keys.await?;
        for (index, entry) in list.entries.iter().enumerate() {
            let at = |field: &str| format!("entries[{index}].{field}");
            if let Some(topics) = &topics
                && let Some(why) = topic_is_missing(entry, topics)
            {
                warnings.push(Problem { field: at("topic"), message: why });
            }
            for (number, principal) in entry.principals.iter().enumerate() {
                let key = principal.strip_prefix(KEY_PREFIX).and_then(|key| key.parse().ok());
                let is_gone = |key: KeyId| keys.as_ref().is_some_and(|keys| !keys.contains(&key));
                if key.is_some_and(is_gone) {
                    let message = "the project has no such key that counts".to_owned();
                    warnings.push(Problem { field: at(&format!("principals[{number}]")), message });
                }
            }
        }
        Ok(warnings)
    }
}

/// Refuses with the first problem; the others are counted.
fn refuse(problems: Vec<Problem>) -> Result<(), Refusal> {
    let Some(first) = problems.first() else { return Ok(()) };
    let refusal =
        Refusal::new(Code::InvalidRequest, first.message.clone()).field(first.field.clone());
    Err(match problems.len() - 1 {
        0 => refusal,
        more => refusal.hint(format!("{more} more: POST /v1/acl/validate tells all of them")),
    })
}

/// The names of the project's topics; `None` when there are too many to tell.
async fn topics(
    admin: &Admin,
    tenant: TenantId,
    project: ProjectId,
) -> Result<Option<HashSet<String>>, Refusal> {
    let who = admin.identity(tenant, project).await?;
    let mut names = HashSet::new();
    let mut after: Option<TopicName> = None;
    for _ in 0..PAGES_MAX {
        let page = admin.hub.topics(&who, after.clone(), PAGE_ITEMS_MAX).await?;
        names.extend(page.iter().map(|topic| topic.name.to_string()));
        after = page.last().map(|topic| topic.name.clone());
        if page.len() < PAGE_ITEMS_MAX {
            return Ok(Some(names));
        }
    }
    Ok(None)
}

/// The project's keys that count; `None` when there are too many to tell.
async fn keys(
    admin: &Admin,
    tenant: TenantId,
    project: ProjectId,
) -> Result<Option<HashSet<KeyId>>, Refusal> {
    let now = admin.clock.now_ms();
    let mut found = HashSet::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = admin.tenancy.keys(tenant, project, after, PAGE_ITEMS_MAX).await?;
        after = page.items.last().map(|key| key.id);
        found.extend(page.items.iter().filter(|key| key.is_usable(now)).map(|key| key.id));
        if !page.has_more {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn topic_is_missing(entry: &AccessEntry, topics: &HashSet<String>) -> Option<String> {
    let is_there = match entry.topic.as_ref()? {
        TopicMatch::Literal(name) => name.starts_with('$') || topics.contains(name),
        TopicMatch::Prefix(prefix) => {
            prefix.starts_with('$') || topics.iter().any(|topic| topic.starts_with(prefix.as_str()))
        }
        TopicMatch::Filter(filter) => {
            let topic = filter.split('/').next().unwrap_or_default();
            matches!(topic, "+" | "#") || topic.starts_with('$') || topics.contains(topic)
        }
    };
    (!is_there).then(|| "the project has no such topic now".to_owned())
}

/// What is to be done to the entries of a list, all of it or nothing.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    pub(crate) add: Vec<AccessEntry>,
    pub(crate) replace: Vec<AccessEntry>,
    pub(crate) remove: Vec<String>,
    /// `None` removes the group.
    pub(crate) groups: BTreeMap<String, Option<Vec<String>>>,
    /// `Some(None)`: says nothing of it any more.
    pub(crate) default: Option<Option<Effect>>,
}

impl Patch {
    /// Refuses to add what is there, and to replace or remove what is not.
    pub(crate) fn apply(self, list: &mut AccessList) -> Result<(), Refusal> {
        let mut places: BTreeMap<String, usize> =
            list.entries.iter().map(|entry| entry.id.clone()).zip(0..).collect();
        let bad = |code, field: String, why: &str| Err(Refusal::new(code, why).field(field));
        for (index, entry) in self.replace.into_iter().enumerate() {
            let found = places.get(&entry.id).and_then(|place| list.entries.get_mut(*place));
            match found {
                Some(found) => *found = entry,
                None => {
                    let field = format!("replace[{index}].id");
                    return bad(Code::NotFound, field, "there is no entry of this id");
                }
            }
        }
        let mut gone = HashSet::new();
        for (index, id) in self.remove.into_iter().enumerate() {
            if places.remove(&id).is_none() {
                let field = format!("remove[{index}]");
                return bad(Code::NotFound, field, "there is no entry of this id");
            }
            gone.insert(id);
        }
        list.entries.retain(|entry| !gone.contains(&entry.id));
        for (index, entry) in self.add.into_iter().enumerate() {
            if places.insert(entry.id.clone(), 0).is_some() {
                let field = format!("add[{index}].id");
                return bad(Code::Conflict, field, "there is an entry of this id already");
            }
            if list.entries.len() >= ENTRIES_MAX {
                let why = format!("a list has at most {ENTRIES_MAX} entries");
                return bad(Code::InvalidRequest, format!("add[{index}]"), &why);
            }
            list.entries.push(entry);
        }
        for (name, members) in self.groups {
            match members {
                Some(members) => drop(list.groups.insert(name, members)),
                None => drop(list.groups.remove(&name)),
            }
        }
        if let Some(default) = self.default {
            list.default = default;
        }
        Ok(())
    }
}

/// What a question is about.
pub(crate) enum About {
    Address { topic: TopicName, key: Option<String> },
    Name(Named, String),
}

/// A question to be explained, as it was asked.
pub(crate) struct Question {
    pub(crate) principal: String,
    pub(crate) operation: Operation,
    pub(crate) about: About,
    pub(crate) origin: Option<Origin>,
    pub(crate) attributes: Attributes,
    pub(crate) at: TimestampMs,
    /// A list to try instead of the project's own.
    pub(crate) draft: Option<AccessList>,
}

/// What the lists say, and what the credential's own scopes and grants do.
pub(crate) struct Answered {
    pub(crate) lists: Explanation,
    /// `None`: not known, the principal is no key of the project's.
    pub(crate) credential: Option<Result<(), Refusal>>,
}

impl At {
    pub(crate) async fn answer(self, admin: &Admin, asked: Question) -> Result<Answered, Refusal> {
        let mut lists: Vec<(Tier, AccessList)> = Vec::new();
        for (tier, owner) in self.above() {
            let found = admin.tenancy.access_list(owner, None).await?;
            lists.extend(found.and_then(|(_, list)| list).map(|list| (tier, list)));
        }
        let own = match asked.draft {
            Some(draft) => Some(draft),
            None => self.newest(admin).await?.1,
        };
        lists.extend(own.map(|list| (self.tier(), list)));
        let borrowed: Vec<(Tier, &AccessList)> =
            lists.iter().map(|(tier, list)| (*tier, list)).collect();
        let what = match &asked.about {
            About::Address { topic, key } => {
                What::Address { topic, key: key.as_deref().map(str::as_bytes) }
            }
            About::Name(named, name) => What::Name(*named, name),
        };
        let asking = rules::acl::Asking {
            subject: &asked.principal,
            operation: asked.operation,
            what,
            facts: Facts {
                origin: asked.origin,
                attributes: Some(&asked.attributes),
                now: asked.at,
            },
        };
        let mut found = explain(&borrowed, &asking);
        self.hide_above(admin, &mut found);
        let credential = match asked.principal.strip_prefix(KEY_PREFIX) {
            Some(key) => self.credential(admin, key, &asking).await?,
            None => None,
        };
        Ok(Answered { lists: found, credential })
    }

    /// Entries of lists that whoever asks may not see lose their names.
    fn hide_above(self, admin: &Admin, found: &mut Explanation) {
        let sees = |tier: Tier| {
            let place = match (tier, self.place.tenant()) {
                (Tier::Installation, _) | (_, None) => Place::Installation,
                (Tier::Tenant, Some(tenant)) => Place::Tenant(tenant),
                (Tier::Project, Some(_)) => self.place,
            };
            admin.require(Permission::AccessRead, place).is_ok()
        };
        let is_hidden = |it: &Considered| !sees(it.list);
        if let Some(decided) = found.decided_by.as_mut().filter(|it| is_hidden(it)) {
            decided.entry.clear();
        }
        found.considered.retain(|it| !is_hidden(it));
    }

    /// What a key's own scopes and grants say.
    async fn credential(
        self,
        admin: &Admin,
        key: &str,
        asking: &rules::acl::Asking<'_>,
    ) -> Result<Option<Result<(), Refusal>>, Refusal> {
        let (Place::Project(tenant, project), Ok(id)) = (self.place, key.parse::<KeyId>()) else {
            return Ok(None);
        };
        let found = admin.tenancy.key(tenant, project, id).await;
        let found = found.map_err(|error| Refusal::from(error).field("principal"))?;
        if !found.is_usable(admin.clock.now_ms()) {
            let why = Refusal::new(Code::InvalidApiKey, "the key was revoked or its time is over");
            return Ok(Some(Err(why)));
        }
        let grants = found.grants.as_ref().map(identity::grant_text::read_value).transpose();
        let claims = Claims {
            tenant,
            project,
            principal: PrincipalId(asking.subject.into()),
            scopes: found.scopes,
            grants: grants.map_err(|why| Refusal::internal(&why))?.map(Into::into),
            key: Some(id),
            issued_at: None,
            expires_at: None,
            rate_per_second: None,
            origin: None,
            marks: None,
            attributes: None,
        };
        Ok(Some(match asking.what {
            What::Address { topic, key } => {
                identity::own_rights(&claims, asking.operation, topic, key)
            }
            What::Name(named, _) => identity::own_rights_to_name(&claims, named),
        }))
    }
}
