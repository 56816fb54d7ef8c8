//! Access lists and keys for administrators who come by a protocol: `port::Security`. A change is
//! the admin API's: checked alike, stored as a version, in the audit trail, in force at once.

use crate::node::Node;
use identity::SCRAM_ITERATIONS;
use port::{Answer, Change, Code, Identity, KeyPage, KeyState, ListState, Live, Refusal, Security};
use rules::scopes;
use std::collections::HashSet;
use std::sync::Arc;
use tenancy::{Actor, ApiKey, ListOwner, NewListVersion, TenancyError};
use types::{AccessList, KeyId, Scope};

/// The admin API's changes of a list that may be marked to wait for a second person.
const MARKED: [&str; 2] = ["put_acl", "patch_acl"];

impl Security for Node {
    fn access_list<'a>(&'a self, who: &'a Identity) -> Answer<'a, ListState> {
        Box::pin(async move {
            self.may_look(who)?;
            let own = ListOwner::Project(who.tenant(), who.project());
            let found = self.tenancy.access_list(own, None).await?;
            let version = found.as_ref().map_or(0, |(about, _)| about.version);
            let own = found.and_then(|(_, list)| list);
            let is_bounding = own.is_some() || !self.lists_above(who).await?.is_empty();
            Ok(ListState { version, list: own.unwrap_or_default(), is_bounding })
        })
    }

    fn put_access_list<'a>(
        &'a self,
        who: &'a Identity,
        from: u64,
        list: AccessList,
        note: &'a str,
    ) -> Answer<'a, u64> {
        let (who, note) = (who.clone(), note.to_owned());
        Box::pin(async move {
            self.admit(&who)?;
            scopes::require(who.claims().scopes, Scope::AdminWrite)?;
            // To its end, so that what is stored is in force whoever leaves meanwhile.
            self.to_the_end(
                move |node| async move { node.replace_list(&who, from, list, note).await },
            )
            .await
        })
    }

    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<KeyId>,
        limit: usize,
    ) -> Answer<'a, KeyPage> {
        Box::pin(async move {
            self.may_look(who)?;
            let page = self.tenancy.keys(who.tenant(), who.project(), after, limit).await?;
            let next = page.items.last().map(|key| key.id).filter(|_| page.has_more);
            let keys = page.items.iter().filter_map(|key| self.key_state(key)).collect();
            Ok(KeyPage { keys, next })
        })
    }

    fn key<'a>(&'a self, who: &'a Identity, id: KeyId) -> Answer<'a, Option<KeyState>> {
        Box::pin(async move {
            self.may_look(who)?;
            match self.tenancy.key(who.tenant(), who.project(), id).await {
                Ok(key) => Ok(self.key_state(&key)),
                Err(TenancyError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }
}

impl Node {
    fn may_look(&self, who: &Identity) -> Result<(), Refusal> {
        self.admit(who)?;
        let scopes = who.claims().scopes;
        scopes::require(scopes, Scope::AdminWrite)
            .or_else(|_| scopes::require(scopes, Scope::AdminRead))
    }

    fn key_state(&self, key: &ApiKey) -> Option<KeyState> {
        let iterations = key.verifier.is_some().then_some(SCRAM_ITERATIONS);
        key.is_usable(self.world.clock.now_ms()).then_some(KeyState { id: key.id, iterations })
    }

    /// The lists of the tenant and the installation, as far as there are any.
    async fn lists_above(&self, who: &Identity) -> Result<Vec<AccessList>, Refusal> {
        let mut lists = Vec::new();
        for owner in [ListOwner::Tenant(who.tenant()), ListOwner::Installation] {
            let found = self.tenancy.access_list(owner, None).await?;
            lists.extend(found.and_then(|(_, list)| list));
        }
        Ok(lists)
    }

    async fn replace_list(
        self: Arc<Node>,
        who: &Identity,
        from: u64,
        list: AccessList,
        note: String,
    ) -> Result<u64, Refusal> {
        let (tenant, project) = (who.tenant(), who.project());
        for act in MARKED {
            if !self.tenancy.approval_rules_of(act, &[tenant]).await?.is_empty() {
                let why = "changes of access lists wait for a second person here";
                return Err(Refusal::new(Code::InsufficientScope, why)
                    .hint("use the admin API, which asks for one"));
            }
        }
        let groups: HashSet<String> = self
            .lists_above(who)
            .await?
            .into_iter()
            .flat_map(|list| list.groups.into_keys())
            .collect();
        if let Some(first) = list.problems(&groups).into_iter().next() {
            return Err(Refusal::new(Code::InvalidRequest, first.message).field(first.field));
        }
        let owner = ListOwner::Project(tenant, project);
        let before = self.tenancy.access_list(owner, None).await?;
        let before = before.and_then(|(_, list)| list).unwrap_or_default();
        let details = rules::acl::difference(&before, &list).summary();
        let new = NewListVersion { list: Some(list), from: Some(from), note, details };
        let made = self.tenancy.put_access_list(owner, new, &Actor::from(who)).await?;
        // In force when it is answered; what is open and lost its right ends right after.
        let change = Change::Project(project);
        self.authenticator.changed(&change).await;
        self.changed(change);
        Ok(made.version)
    }
}
