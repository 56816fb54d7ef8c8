//! People: signing in with a password, the sessions that come of it, and what somebody may do. One
//! service over `tenancy`'s records; whoever calls it has checked nothing yet. It must not know how
//! its callers are reached, nor which request needs which permission.

mod absent;
mod account;
mod challenges;
mod device;
mod invitation;
mod passkey_proof;
mod passkeys;
mod password;
mod provided;
mod provider_settings;
mod rights;
mod second_factor;
mod session_text;
mod settings;
mod sign_in;
#[cfg(test)]
mod tests;
mod throttle;
mod totp;
mod vouched;

pub use absent::Absent;
pub use account::{NewOwner, Proof};
pub use device::{DeviceOutcome, DevicePoll, DeviceStart, DeviceStarted};
pub use invitation::{Invitation, Redeem, Sent};
pub use passkey_proof::{PasskeyAfterPassword, PasskeyProof, PasskeySignIn};
pub use passkeys::{CreationOptions, MadePasskey, RequestOptions};
pub use provided::{Arrived, Back, BackWithCode, Departure};
pub use provider_settings::{ProviderWish, SecretChange, Tried};
pub use rights::{Standing, stored_conditions};
pub use second_factor::Enrolment;
pub use settings::{PasswordCost, PeopleSettings, ThrottleSettings};
pub use sign_in::{Refresh, SignIn, SignedIn};
pub use vouched::{EVERYBODY, domain_of, place_of};

use crate::{OidcClient, Sealer, Secrets};
use challenges::Challenges;
use mail::Mailer;
use password::Passwords;
use port::{Code, Refusal};
use rights::Seen;
use rules::{Circumstances, PermissionSet, Rights};
use session_text::SessionTexts;
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::{Actor, Session, Tenancy, User};
use throttle::{Subject, Throttle};
use types::TimestampMs;
use types::acl::Origin;

/// Somebody who is signed in, as of this moment.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: User,
    pub session: Session,
    /// In the circumstances of his request.
    pub rights: Rights,
    /// Where his request came from; `None`: not known.
    pub origin: Option<Origin>,
}

impl Person {
    /// As the audit trail names him.
    pub fn actor(&self) -> Actor {
        Actor::user(self.user.id, &self.user.email)
    }

    /// Whose failures to prove himself again are counted: by the session, so that who has stolen
    /// one does not lock its owner out elsewhere.
    fn again(&self) -> Subject {
        Subject::account(&format!("{} {}", self.user.email, self.session.id), None)
    }

    /// What is known of his request and of his session.
    pub fn circumstances(&self, now: TimestampMs) -> Circumstances {
        circumstances(&self.session, self.origin, now)
    }

    /// Whether he has just proved again who he is.
    pub fn is_elevated(&self, now: TimestampMs) -> bool {
        self.session.elevated_until.is_some_and(|until| now < until)
    }
}

pub struct People {
    tenancy: Arc<Tenancy>,
    settings: PeopleSettings,
    passwords: Passwords,
    texts: SessionTexts,
    challenges: Challenges,
    throttle: Throttle,
    sealer: Arc<Sealer>,
    oidc: OidcClient,
    mailer: Mailer,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// What the service is made of.
pub struct PeopleParts<'a> {
    pub tenancy: Arc<Tenancy>,
    pub secrets: &'a Secrets,
    pub settings: PeopleSettings,
    pub mailer: Mailer,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

impl People {
    /// Refuses when no client for providers can be made.
    pub fn new(parts: PeopleParts<'_>) -> Result<People, Refusal> {
        let PeopleParts { tenancy, secrets, settings, mailer, clock, rng } = parts;
        let oidc = OidcClient::new(settings.oidc.clone(), Arc::clone(&clock), Arc::clone(&rng))?;
        Ok(People {
            tenancy,
            passwords: Passwords::new(settings.password_cost, Arc::clone(&rng)),
            texts: SessionTexts::new(secrets, Arc::clone(&rng)),
            challenges: Challenges::new(secrets, Arc::clone(&rng)),
            throttle: Throttle::new(settings.throttle.clone(), Arc::clone(&clock)),
            sealer: Arc::new(secrets.sealer(Arc::clone(&rng))),
            oidc,
            settings,
            mailer,
            clock,
            rng,
        })
    }

    /// For how long a new proof of who somebody is counts.
    pub fn elevated_ms(&self) -> i64 {
        i64::try_from(self.settings.elevated_ms).unwrap_or(i64::MAX)
    }

    /// Whether the text is meant for `check`, by its looks.
    pub fn is_access_token(text: &str) -> bool {
        SessionTexts::is_access(text)
    }

    /// Neither ended nor too old.
    pub fn is_open(&self, session: &Session) -> bool {
        session.is_open(self.clock.now_ms(), self.settings.times())
    }

    /// What a role allows: a built-in one by its name, another by its identifier. A role that is
    /// gone allows nothing.
    pub async fn permissions_of(&self, role: &str) -> Result<PermissionSet, Refusal> {
        rights::of_role(&self.tenancy, role).await
    }

    /// Who has this access token, with what he may do at this moment. A made-up token costs no
    /// question to the database; with a genuine one the records are read anew each time, so that a
    /// session that was ended, or a role that was taken, counts no more with the next request.
    /// Roles with conditions count as it is seen from `origin`, where the request came from.
    /// Refuses with `INVALID_TOKEN` or `EXPIRED_TOKEN`.
    pub async fn check(&self, access: &str, origin: Option<Origin>) -> Result<Person, Refusal> {
        let (id, expires_at) = self.texts.open_access(access).ok_or_else(not_signed_in)?;
        let now = self.clock.now_ms();
        if now >= expires_at {
            return Err(Refusal::new(Code::ExpiredToken, "the access token has expired")
                .field("authorization")
                .hint("refresh it at /v1/auth/refresh, or sign in again"));
        }
        let found = self.tenancy.session(id).await?;
        let (session, user) = found.ok_or_else(not_signed_in)?;
        if !session.is_open(now, self.settings.times()) || !is_active(&user) {
            return Err(not_signed_in());
        }
        self.person(session, user, origin).await
    }

    /// With what he may do. Whom a provider vouches for may do less, and nothing once the provider
    /// is switched off.
    async fn person(
        &self,
        session: Session,
        user: User,
        origin: Option<Origin>,
    ) -> Result<Person, Refusal> {
        let here = circumstances(&session, origin, self.clock.now_ms());
        let rights = rights::of(&self.tenancy, user.id, Seen::In(here)).await?;
        let Some(provider) = session.provider else {
            return Ok(Person { user, session, rights, origin });
        };
        let provider = match self.tenancy.provider(provider).await {
            Ok(provider) if provider.is_enabled => provider,
            Ok(_) | Err(tenancy::TenancyError::NotFound { .. }) => return Err(not_signed_in()),
            Err(error) => return Err(error.into()),
        };
        let rights = vouched::limited(rights, &provider);
        Ok(Person { user, session, rights, origin })
    }

    /// The same person as the records have him now, in the circumstances of now, for answers that
    /// go on for long: refuses with `INVALID_TOKEN` when the session has ended.
    pub async fn recheck(&self, person: &Person) -> Result<Person, Refusal> {
        let found = self.tenancy.session(person.session.id).await?;
        let (session, user) = found.ok_or_else(not_signed_in)?;
        if !self.is_open(&session) || !is_active(&user) {
            return Err(not_signed_in());
        }
        self.person(session, user, person.origin).await
    }
}

fn circumstances(session: &Session, origin: Option<Origin>, now: TimestampMs) -> Circumstances {
    Circumstances {
        now,
        address: origin.map(|origin| origin.address),
        is_tls: origin.is_some_and(|origin| origin.is_tls),
        is_strong: session.is_strong,
        proven_at: Some(session.proven_at),
    }
}

fn is_active(user: &User) -> bool {
    user.status == tenancy::UserStatus::Active
}

fn not_signed_in() -> Refusal {
    Refusal::new(Code::InvalidToken, "the session has ended or the token is not valid")
        .field("authorization")
        .hint("sign in at /v1/auth/login")
}
