//! People who are not asking at this moment, and what they may do all the same: who asked for
//! something that a second person approved, who might approve it, and letters to both. It must not
//! know what is asked for.

use super::{People, is_active, rights};
use port::Refusal;
use rights::Seen;
use rules::{Circumstances, Rights};
use tenancy::{Actor, TenancyError, User, UserId};
use types::TenantId;

/// People looked at to find those who hold something: an installation's and a tenant's staff.
const CANDIDATES_MAX: usize = 500;

/// Somebody who is not asking, as the records have him at this moment.
#[derive(Debug, Clone)]
pub struct Absent {
    pub user: User,
    pub rights: Rights,
}

impl Absent {
    /// As the audit trail names him.
    pub fn actor(&self) -> Actor {
        Actor::user(self.user.id, &self.user.email)
    }
}

impl People {
    /// With what he may do in these circumstances, those in which he asked once. `None`: the user
    /// is gone, disabled, or has not come yet.
    pub async fn absent(
        &self,
        user: UserId,
        circumstances: Circumstances,
    ) -> Result<Option<Absent>, Refusal> {
        let user = match self.tenancy.user(user).await {
            Ok(user) => user,
            Err(TenancyError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !is_active(&user) {
            return Ok(None);
        }
        let rights = rights::of(&self.tenancy, user.id, Seen::In(circumstances)).await?;
        Ok(Some(Absent { user, rights }))
    }

    /// Active people with any role in the installation, or in this tenant, with what they may do
    /// when circumstances are as their roles want them; at most 500, the oldest first.
    pub async fn staff_of(&self, tenant: Option<TenantId>) -> Result<Vec<Absent>, Refusal> {
        let users = self.tenancy.users_bound_at(tenant, CANDIDATES_MAX).await?;
        let mut staff = Vec::with_capacity(users.len());
        for user in users {
            let rights = rights::of(&self.tenancy, user.id, Seen::AtBest).await?;
            staff.push(Absent { user, rights });
        }
        Ok(staff)
    }

    /// Where the console shows this page.
    pub fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.settings.console_url.trim_end_matches('/'))
    }

    /// A letter, where mail is set up.
    pub fn tell(&self, user: &User, subject: &str, text: String) {
        self.post(&user.email, subject, text);
    }
}
