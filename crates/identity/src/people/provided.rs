//! Signing in with a provider (OpenID Connect): the way there, the way back, and proving once more
//! by the same way who one is. The `state` counts once, in its time, on the device that set out; it
//! is in the database, so another node may take whoever comes back.

use super::sign_in::{device_secret, network};
use super::throttle::Subject;
use super::vouched::Vouched;
use super::{People, Person, SignedIn, not_signed_in};
use crate::oidc::client::{Exchange, ExchangeError, unreachable};
use crate::oidc::{Discovery, Expected, id_token};
use crate::people::session_text::Returning;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use port::{Code, Refusal, metric};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use tenancy::{
    Actor, AuditOutcome, Incident, NewSession, NewSignIn, PendingSignIn, Proven, Provider,
    ProviderId, Return, Session, SignInPurpose, User,
};
use types::TimestampMs;

/// The page that providers send people back to.
const RETURN_PAGE: &str = "sign-in/return";
/// How long the code of a second factor may take.
const CODE_MS_MAX: i64 = 5 * 60_000;
/// Codes of a second factor that may be tried on one way.
const CODE_ATTEMPTS_MAX: i64 = 5;

/// Where to go with the browser.
pub struct Departure {
    pub url: String,
    pub expires_at: TimestampMs,
}

/// What somebody brings who comes back from a provider.
pub struct Back {
    pub state: SecretString,
    pub code: SecretString,
    /// Who answers, when the provider says so (RFC 9207).
    pub issuer: Option<String>,
    /// As it was when he set out.
    pub device: SecretString,
    pub device_name: String,
    pub address: IpAddr,
}

/// What somebody brings whose own second factor is asked for besides.
pub struct BackWithCode {
    pub ticket: SecretString,
    pub code: SecretString,
    pub device: SecretString,
    pub device_name: String,
    pub address: IpAddr,
}

/// What came of coming back.
pub enum Arrived {
    SignedIn(Box<SignedIn>),
    /// The provider vouches for him; now the code of his own second factor.
    NeedsCode {
        ticket: SecretString,
        expires_at: TimestampMs,
    },
}

fn over() -> Refusal {
    Refusal::new(Code::InvalidRequest, "this sign-in was finished before, or its time is over")
        .field("state")
        .hint("begin again, in the same browser")
}

/// The provider, or what it says, is not to be believed.
fn not_believed(why: &str) -> Refusal {
    Refusal::new(Code::InvalidToken, format!("the provider's answer is not accepted: {why}"))
        .field("code")
        .hint("begin again; if it stays so, whoever looks after the provider should know")
}

/// What a way to a provider is for, and who takes it.
struct Way<'a> {
    purpose: SignInPurpose,
    person: Option<&'a Person>,
    device: &'a SecretString,
}

impl People {
    /// Where providers send people back to: to be registered there.
    pub fn return_url(&self) -> String {
        format!("{}/{RETURN_PAGE}", self.settings.console_url.trim_end_matches('/'))
    }

    /// The way to a provider, to sign in.
    pub async fn depart(
        &self,
        provider: ProviderId,
        device: &SecretString,
    ) -> Result<Departure, Refusal> {
        let way = Way { purpose: SignInPurpose::SignIn, person: None, device };
        self.way_to(&self.enabled(provider).await?, way).await
    }

    /// The way to the provider that vouches for this session, to prove oneself once more.
    pub async fn depart_to_elevate(
        &self,
        who: &Person,
        device: &SecretString,
    ) -> Result<Departure, Refusal> {
        let provider = who.session.provider.ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, "no provider vouches for this session")
                .field("session")
                .hint("give the password again at /v1/auth/elevate")
        })?;
        let way = Way { purpose: SignInPurpose::Elevate, person: Some(who), device };
        self.way_to(&self.enabled(provider).await?, way).await
    }

    /// The way to a provider whose account is to stand for this person. The caller has asked for a
    /// recent proof.
    pub async fn depart_to_link(
        &self,
        who: &Person,
        provider: ProviderId,
        device: &SecretString,
    ) -> Result<Departure, Refusal> {
        self.require_own_session(who)?;
        let found = self.enabled(provider).await?;
        let bindings = self.tenancy.bindings_of(who.user.id).await?;
        let is_near = |tenant| bindings.iter().any(|binding| binding.tenant == Some(tenant));
        if !found.tenant.is_none_or(is_near) {
            return Err(missing());
        }
        let way = Way { purpose: SignInPurpose::Link, person: Some(who), device };
        self.way_to(&found, way).await
    }

    /// Refuses in a session for which a provider vouches: what one proves oneself with, everywhere
    /// and for ever, is not for a provider to add.
    pub fn require_own_session(&self, who: &Person) -> Result<(), Refusal> {
        if who.session.provider.is_none() {
            return Ok(());
        }
        let why = "a session that a provider vouches for adds no other way to sign in";
        Err(Refusal::new(Code::InsufficientScope, why)
            .field("session")
            .hint("choose a password (`forgotten password`), and sign in with it"))
    }

    async fn enabled(&self, provider: ProviderId) -> Result<Provider, Refusal> {
        let found = match self.tenancy.provider(provider).await {
            Ok(found) => found,
            Err(tenancy::TenancyError::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        Some(found).filter(|found| found.is_enabled).ok_or_else(missing)
    }

    async fn way_to(&self, provider: &Provider, way: Way<'_>) -> Result<Departure, Refusal> {
        let device_hash = self.texts.device(device_secret(way.device)?);
        let at = self.oidc.discover(&provider.issuer).await?;
        let fresh = self.texts.fresh();
        let lasts = i64::try_from(self.settings.oidc.sign_in_ms_max).unwrap_or(i64::MAX);
        let expires_at = self.clock.now_ms().saturating_add(lasts);
        let id = self
            .tenancy
            .begin_sign_in(NewSignIn {
                provider: provider.id,
                purpose: way.purpose,
                hash: fresh.hash.clone(),
                device_hash,
                session: way.person.map(|person| person.session.id),
                user: way.person.map(|person| person.user.id),
                expires_at,
            })
            .await?;
        let state = self.texts.sign_in(&fresh, id);
        // What was made a line before opens.
        let returning = self.texts.open_sign_in(state.expose_secret()).ok_or_else(over)?;
        let url = self.authorization_url(provider, &at, way.purpose, (&state, &returning));
        Ok(Departure { url, expires_at })
    }

    fn authorization_url(
        &self,
        provider: &Provider,
        at: &Discovery,
        purpose: SignInPurpose,
        (state, returning): (&SecretString, &Returning),
    ) -> String {
        let verifier = returning.verifier.expose_secret();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let asked = provider.terms.scopes.iter().map(String::as_str);
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(asked.filter(|scope| *scope != "openid")).collect();
        let mut url = at.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &self.return_url())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", state.expose_secret())
            .append_pair("nonce", &returning.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if purpose == SignInPurpose::Elevate {
            url.query_pairs_mut().append_pair("prompt", "login").append_pair("max_age", "0");
        }
        url.to_string()
    }

    /// Somebody comes back to be signed in.
    pub async fn arrive(&self, back: Back) -> Result<Arrived, Refusal> {
        let subjects = [Subject::address(&network(back.address))];
        self.admit(&subjects, None, back.address)?;
        let (pending, returning) = self.take(&back, None).await?;
        if pending.purpose != SignInPurpose::SignIn {
            return Err(over());
        }
        let arrived = self.let_in(&pending, &returning, &back).await;
        match &arrived {
            Ok(_) => self.throttle.forgive(&subjects),
            Err(refusal) => self.note_refused(&pending.provider, back.address, refusal),
        }
        arrived
    }

    async fn let_in(
        &self,
        pending: &PendingSignIn,
        returning: &Returning,
        back: &Back,
    ) -> Result<Arrived, Refusal> {
        let provider = &pending.provider;
        let proven = self.proven(pending, returning, back).await?;
        let by = Actor::system().from_address(back.address);
        let user = self.vouched_user(provider, &proven, &by).await?;
        let device_hash = self.texts.device(device_secret(&back.device)?);
        let is_asked = provider.terms.requires_own_second_factor;
        if is_asked && self.has_second_factor(user.id).await? {
            return self.ask_for_code(provider, &user, device_hash).await;
        }
        let name = back.device_name.clone();
        let new = vouched_session(provider, &user, Proven::Provider, (name, back.address));
        let opened = self.open(user, NewSession { device_hash, ..new }).await?;
        Ok(Arrived::SignedIn(Box::new(opened)))
    }

    async fn ask_for_code(
        &self,
        provider: &Provider,
        user: &User,
        device_hash: Vec<u8>,
    ) -> Result<Arrived, Refusal> {
        let fresh = self.texts.fresh();
        let expires_at = self.clock.now_ms().saturating_add(CODE_MS_MAX);
        let new = NewSignIn {
            provider: provider.id,
            purpose: SignInPurpose::SecondFactor,
            hash: fresh.hash.clone(),
            device_hash,
            session: None,
            user: Some(user.id),
            expires_at,
        };
        let id = self.tenancy.begin_sign_in(new).await?;
        Ok(Arrived::NeedsCode { ticket: self.texts.sign_in(&fresh, id), expires_at })
    }

    /// The code of the second factor, of somebody for whom a provider vouched a moment ago.
    pub async fn arrive_with_code(&self, back: BackWithCode) -> Result<SignedIn, Refusal> {
        let subjects = [Subject::address(&network(back.address))];
        self.admit(&subjects, None, back.address)?;
        let returning = self.texts.open_sign_in(back.ticket.expose_secret()).ok_or_else(over)?;
        let device_hash = self.texts.device(device_secret(&back.device)?);
        let again = Return {
            sign_in: returning.id,
            hash: returning.hash,
            device_hash: device_hash.clone(),
        };
        let pending = self.tenancy.try_sign_in(&again).await?;
        let user = pending.user.filter(|_| pending.purpose == SignInPurpose::SecondFactor);
        let user = self.tenancy.user(user.ok_or_else(over)?).await?;
        if pending.attempts > CODE_ATTEMPTS_MAX || !super::is_active(&user) {
            return Err(over());
        }
        self.prove_second(&user, Some(&back.code)).await?;
        self.tenancy.take_sign_in(&again).await?;
        self.throttle.forgive(&subjects);
        let (provider, at) = (&pending.provider, (back.device_name, back.address));
        let new = vouched_session(provider, &user, Proven::ProviderAndCode, at);
        self.open(user, NewSession { device_hash, ..new }).await
    }

    /// Somebody who is signed in comes back: he has proved himself once more, or the account at the
    /// provider stands for him from now on.
    pub async fn return_to_session(&self, who: &Person, back: &Back) -> Result<Session, Refusal> {
        let (pending, returning) = self.take(back, Some(who)).await?;
        let provider = &pending.provider;
        let proven = self.proven(&pending, &returning, back).await?;
        let by = who.actor().from_address(back.address);
        match pending.purpose {
            SignInPurpose::Elevate => {
                let holder =
                    self.tenancy.user_of_identity(&provider.issuer, &proven.subject).await?;
                let is_same = holder.is_some_and(|holder| holder.id == who.user.id);
                if !is_same || who.session.provider != Some(provider.id) {
                    let why = "the provider vouches for somebody else";
                    return Err(not_believed(why));
                }
                let elevated_ms = i64::try_from(self.settings.elevated_ms).unwrap_or(i64::MAX);
                let until = self.clock.now_ms().saturating_add(elevated_ms);
                Ok(self
                    .tenancy
                    .elevate_session(who.session.id, until, Proven::Provider, &by)
                    .await?)
            }
            SignInPurpose::Link => {
                self.require_own_session(who)?;
                let identity = proven.identity(provider);
                self.tenancy.link_identity(who.user.id, identity, None, &by).await?;
                Ok(who.session.clone())
            }
            SignInPurpose::SignIn | SignInPurpose::SecondFactor => Err(over()),
        }
    }

    /// What was set out for, once. With a person: by him, in this very session.
    async fn take(
        &self,
        back: &Back,
        who: Option<&Person>,
    ) -> Result<(PendingSignIn, Returning), Refusal> {
        let returning = self.texts.open_sign_in(back.state.expose_secret()).ok_or_else(over)?;
        let device_hash = self.texts.device(device_secret(&back.device)?);
        let back = Return { sign_in: returning.id, hash: returning.hash.clone(), device_hash };
        let pending = self.tenancy.take_sign_in(&back).await?;
        let is_his = pending.session == who.map(|person| person.session.id);
        if who.is_some() && !is_his {
            return Err(not_signed_in());
        }
        Ok((pending, returning))
    }

    /// The code against an ID token, and the token believed or not.
    async fn proven(
        &self,
        pending: &PendingSignIn,
        returning: &Returning,
        back: &Back,
    ) -> Result<Vouched, Refusal> {
        let provider = &pending.provider;
        let at = self.oidc.discover(&provider.issuer).await?;
        let is_named = match &back.issuer {
            Some(issuer) => *issuer == provider.issuer,
            None => !at.names_itself,
        };
        if !is_named {
            return Err(not_believed("another issuer answers (`iss`)"));
        }
        let secret = self.provider_secret(provider)?;
        let wish = Exchange {
            client_id: &provider.client_id,
            secret: secret.as_ref(),
            code: &back.code,
            redirect: &self.return_url(),
            verifier: &returning.verifier,
        };
        let token = self.oidc.exchange(&at, wish).await.map_err(|error| match error {
            ExchangeError::Refused(_) => not_believed(&error.to_string()),
            ExchangeError::Failed(why) => unreachable(format!("the provider fails: {why}")),
        })?;
        let is_elevation = pending.purpose == SignInPurpose::Elevate;
        let expected = Expected {
            issuer: &provider.issuer,
            client_id: &provider.client_id,
            nonce: &returning.nonce,
            now: self.clock.now_ms(),
            skew_ms: self.oidc.skew_ms(),
            proven_since: is_elevation.then_some(pending.created_at),
        };
        let claims = self.oidc.verify(&at, &token, expected).await;
        let claims = claims.map_err(|why| not_believed(&why))?;
        let terms = &provider.terms;
        let groups = id_token::groups(&claims, terms.groups_claim.as_deref());
        Ok(Vouched {
            is_verified: id_token::is_verified(&claims, &terms.verified_claim),
            groups: groups.into_iter().map(str::to_owned).collect(),
            subject: claims.sub,
            email: claims.email,
            name: claims.name,
        })
    }

    /// Somebody was not let in. Whom the provider vouched for is kept out of it.
    fn note_refused(&self, provider: &Provider, address: IpAddr, refusal: &Refusal) {
        metrics::counter!(metric::SIGN_INS, "outcome" => "refused").increment(1);
        let incident = Incident {
            tenant: provider.tenant,
            project: None,
            actor: "unknown".to_owned(),
            action: "session.refuse",
            target: provider.id.to_string(),
            outcome: AuditOutcome::Refused,
            reason: refusal.message().to_owned(),
            address: Some(address),
            request: None,
        };
        self.tenancy.incidents().note(incident, self.clock.now_ms());
    }
}

/// Without its device's hash, which the caller knows.
fn vouched_session(
    provider: &Provider,
    user: &User,
    how: Proven,
    (device, address): (String, IpAddr),
) -> NewSession {
    NewSession {
        user: user.id,
        refresh_hash: Vec::new(),
        device_hash: Vec::new(),
        device,
        address: address.to_string(),
        network: network(address),
        how,
        provider: Some(provider.id),
    }
}

pub(super) fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such provider")
        .field("provider")
        .hint("those there are for an address: /v1/auth/providers")
}
