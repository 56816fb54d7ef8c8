//! What authentication asks of the control plane's records, and nothing more. A trait, because
//! tests count the questions and let them fail; the answers come from `tenancy`.

use std::future::Future;
use std::pin::Pin;
use tenancy::{FoundKey, ListOwner, RevocationMark, Tenancy, TenancyError, Verification};
use types::{AccessList, KeyId, ProjectId, TenantId};

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, TenancyError>> + Send + 'a>>;

pub trait Directory: Send + Sync + 'static {
    /// The key with this lookup id, whatever its state; `None` when there is none.
    fn key<'a>(&'a self, lookup: &'a str) -> Answer<'a, Option<FoundKey>>;

    /// The lookup id of the key with this id.
    fn lookup(&self, key: KeyId) -> Answer<'_, Option<String>>;

    /// Keeps what a key is checked with when it is not shown, unless it has that already.
    fn keep_verifier(&self, tenant: TenantId, key: KeyId, verifier: Vec<u8>) -> Answer<'_, bool>;

    /// A project, its tenant, and what its tokens are checked with; `None` when there is none.
    fn project(&self, project: ProjectId) -> Answer<'_, Option<Verification>>;

    /// The project's revocations of tokens that came after this version of them.
    fn revocations(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: u64,
    ) -> Answer<'_, Vec<RevocationMark>>;

    /// A version of an access list; `None` when the list was removed with it.
    fn list(&self, owner: ListOwner, version: u64) -> Answer<'_, Option<AccessList>>;
}

impl Directory for Tenancy {
    fn key<'a>(&'a self, lookup: &'a str) -> Answer<'a, Option<FoundKey>> {
        Box::pin(self.find_key_by_prefix(lookup))
    }

    fn lookup(&self, key: KeyId) -> Answer<'_, Option<String>> {
        Box::pin(self.find_key_prefix(key))
    }

    fn keep_verifier(&self, tenant: TenantId, key: KeyId, verifier: Vec<u8>) -> Answer<'_, bool> {
        Box::pin(self.keep_key_verifier(tenant, key, verifier))
    }

    fn project(&self, project: ProjectId) -> Answer<'_, Option<Verification>> {
        Box::pin(self.find_verification(project))
    }

    fn revocations(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: u64,
    ) -> Answer<'_, Vec<RevocationMark>> {
        Box::pin(self.revocation_marks(tenant, project, after))
    }

    fn list(&self, owner: ListOwner, version: u64) -> Answer<'_, Option<AccessList>> {
        Box::pin(async move {
            let missing = TenancyError::NotFound { what: "access list" };
            Ok(self.access_list(owner, Some(version)).await?.ok_or(missing)?.1)
        })
    }
}
