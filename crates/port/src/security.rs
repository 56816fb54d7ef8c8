//! Who may do what in a project, as its administrators see and change it: for adapters whose
//! protocol has words for that. Whether somebody administers by them at all is the adapter's
//! configuration; what he may then is asked here.

use crate::Identity;
use crate::hub::Answer;
use types::{AccessList, KeyId};

/// The project's own access list, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ListState {
    /// 0: there never was one.
    pub version: u64,
    /// Empty where there is none.
    pub list: AccessList,
    /// Whether a list counts in the project: its own, its tenant's or the installation's. Where
    /// none does, credentials are bounded by their scopes alone.
    pub is_bounding: bool,
}

/// An API key that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyState {
    pub id: KeyId,
    /// How often its text is hashed where it is proven without being shown; `None`: it must be
    /// shown, since it was made before there was anything else.
    pub iterations: Option<u32>,
}

/// What the administration of security knows. `Hub::security` answers it.
pub trait Security: Send + Sync {
    /// For `admin:read` and `admin:write`.
    fn access_list<'a>(&'a self, who: &'a Identity) -> Answer<'a, ListState>;

    /// Makes this the project's list, for `admin:write`, and answers its version when it is in
    /// force. `Conflict` when `from` is not the newest version. Refused where changes of lists wait
    /// for a second person: nobody could be asked here. In the audit trail as any other change;
    /// `note` says there why.
    fn put_access_list<'a>(
        &'a self,
        who: &'a Identity,
        from: u64,
        list: AccessList,
        note: &'a str,
    ) -> Answer<'a, u64>;

    /// Keys of the project that count, in the order of their ids, after `after`; for `admin:read`
    /// and `admin:write`. Fewer than `limit` are not yet the last.
    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<KeyId>,
        limit: usize,
    ) -> Answer<'a, KeyPage>;

    /// One of them; `None` where the project has no such key that counts.
    fn key<'a>(&'a self, who: &'a Identity, id: KeyId) -> Answer<'a, Option<KeyState>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    pub keys: Vec<KeyState>,
    /// Behind which the next page begins, when there is one.
    pub next: Option<KeyId>,
}
