//! The front door: a credential in, an `Identity` or a refusal out; and the news of changes, which
//! end what no longer counts. Whoever owns it calls `changed` for each change it hears of, and
//! `refresh` about every half second, so that changes it does not hear of count as well.

use crate::api_key::{ApiKeyText, Environment, KeyHasher, NewApiKey};
use crate::directory::Directory;
use crate::gate::{Epoch, Gate};
use crate::jwks::KeySets;
use crate::key_check::{KeyCheck, Shared};
use crate::liveness::{Holder, HolderKind, LivenessTable};
use crate::projects::Projects;
use crate::refusal;
use crate::revocations;
use crate::scram::Scram;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::snapshot::ProjectSnapshot;
use crate::token::{self, Unproven};
use crate::token_check::{self, Issuer};
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use port::{
    Challenge, Change, Claims, Confirmed, Credential, Identity, Liveness, Peer, Refusal, Response,
    TokenSecret, Vouched, metric,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::{Clock, Rng};
use types::acl::Origin;
use types::{PrincipalId, ProjectId, Scopes, TenantId, TimestampMs};

/// Records looked at again at the same time.
const REVIEWS_AT_ONCE: usize = 4;
/// Key sets fetched at the same time for open sessions.
const FETCHES_AT_ONCE: usize = 4;
/// Changes whose records could not be read yet; beyond it the age of what is remembered decides.
const PENDING_MAX: usize = 10_000;

pub struct Authenticator {
    keys: KeyCheck,
    projects: Projects,
    shared: Shared,
    settings: Settings,
    rng: Arc<dyn Rng>,
    pending: Mutex<Vec<Change>>,
}

/// A proven token, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenToken {
    pub tenant: TenantId,
    pub project: ProjectId,
    pub principal: PrincipalId,
    /// Its own identifier, if it has one that can be stored.
    pub jti: Option<String>,
    /// See `fingerprint`.
    pub fingerprint: String,
    /// Its `exp`, without leeway.
    pub ends_at: TimestampMs,
}

/// How long tokens may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTimes {
    /// `Settings::token_lifetime_ms_max`
    pub lifetime_ms_max: i64,
    /// `Settings::token_leeway_ms`: for so long a token counts beyond its `exp`.
    pub leeway_ms: i64,
}

impl Authenticator {
    /// Fails only when the client for key sets cannot be made.
    pub fn new(
        directory: Arc<dyn Directory>,
        secrets: &Secrets,
        settings: Settings,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Authenticator, Refusal> {
        let shared = Shared {
            directory,
            clock: Arc::clone(&clock),
            gate: Arc::new(Gate::new(settings.loads_max, settings.load_waiters_max)),
            epoch: Arc::new(Epoch::default()),
            livenesses: Arc::new(LivenessTable::default()),
            key_sets: Arc::new(KeySets::new(settings.jwks.clone(), clock, Arc::clone(&rng))?),
        };
        Ok(Authenticator {
            keys: KeyCheck::new(
                KeyHasher::new(secrets.pepper()),
                Scram::new(secrets, Arc::clone(&rng)),
                &shared,
                &settings,
            ),
            projects: Projects::new(secrets.sealer(Arc::clone(&rng)), &shared, &settings),
            shared,
            settings,
            rng,
            pending: Mutex::default(),
        })
    }

    /// Proves a credential. Refuses with `INVALID_API_KEY`, `EXPIRED_API_KEY`, `INVALID_TOKEN`,
    /// `EXPIRED_TOKEN`, `TENANT_SUSPENDED`, or, when it cannot be checked now,
    /// `DATABASE_CONNECTION_ERROR`, `NETWORK_ERROR` or `OVERLOADED`.
    pub async fn authenticate(
        &self,
        peer: &Peer,
        credential: &Credential,
    ) -> Result<Identity, Refusal> {
        let outcome = match credential {
            Credential::ApiKey(text) => self.prove_key(peer, text).await,
            Credential::Token(text) => self.prove_token(peer, text).await,
        };
        outcome.inspect_err(|refusal| count_failure(peer, refusal))
    }

    /// What a client is asked that proves a key of this id without showing it. Refuses only when
    /// nobody can be looked up now.
    pub async fn challenge(&self, name: &str) -> Result<Challenge, Refusal> {
        self.keys.challenge(name).await
    }

    /// Proves a key by the response to a challenge, as `authenticate` does by its text.
    ///
    /// # Errors
    /// As `authenticate`.
    pub async fn respond(&self, peer: &Peer, response: &Response) -> Result<Confirmed, Refusal> {
        let outcome = async {
            let (claims, liveness, signature) = self.keys.respond(response).await?;
            let project = self.projects.get(claims.project).await?;
            let who = admit(peer, &*project.ok_or_else(refusal::invalid_key)?, claims, liveness)?;
            Ok(Confirmed { who, signature })
        };
        outcome.await.inspect_err(|refusal| count_failure(peer, refusal))
    }

    /// The secret of a token that an adapter gives out under this name.
    pub fn token_secret(&self, name: &str) -> Option<TokenSecret> {
        self.keys.scram.token_secret(name)
    }

    /// Checks a proof made with the secret of a token; answers ours.
    ///
    /// # Errors
    /// `INVALID_TOKEN`.
    pub async fn respond_by_token(
        &self,
        peer: &Peer,
        response: &Response,
    ) -> Result<Vec<u8>, Refusal> {
        let (scram, response) = (Arc::clone(&self.keys.scram), response.clone());
        let made = tokio::task::spawn_blocking(move || scram.confirm_token(&response)).await;
        let signature = made.map_err(|error| Refusal::internal(&error))?;
        signature
            .ok_or_else(|| refusal::invalid_token("it is none that was given out here"))
            .inspect_err(|refusal| count_failure(peer, refusal))
    }

    /// Lets in as a key whom an adapter vouches for, as `authenticate` does by the key's text.
    ///
    /// # Errors
    /// As `authenticate`.
    pub async fn vouched(&self, peer: &Peer, vouched: &Vouched) -> Result<Identity, Refusal> {
        let outcome = async {
            let (mut claims, liveness) = self.keys.vouched(&vouched.name).await?;
            if !vouched.projects.contains(&claims.project) {
                return Err(refusal::invalid_key());
            }
            let ends_at = claims.expires_at.unwrap_or(vouched.ends_at).min(vouched.ends_at);
            if ends_at <= self.shared.clock.now_ms() {
                return Err(refusal::expired_key());
            }
            claims.expires_at = Some(ends_at);
            let project = self.projects.get(claims.project).await?;
            admit(peer, &*project.ok_or_else(refusal::invalid_key)?, claims, liveness)
        };
        outcome.await.inspect_err(|refusal| count_failure(peer, refusal))
    }

    /// Lets a key of before challenges, which was just proven by `shown`, respond to them from now
    /// on.
    pub async fn learn(&self, who: &Identity, shown: &Credential) {
        let (Some(_), Credential::ApiKey(text)) = (who.claims().key, shown) else { return };
        let Some(lookup) = ApiKeyText::parse(text).map(|text| text.lookup.to_owned()) else {
            return;
        };
        self.keys.learn(&lookup, text.as_str().into()).await;
    }

    /// What is stored of a new key, so that it can be proven without being shown. `None` when the
    /// process is ending.
    pub async fn verifier(&self, key: &NewApiKey) -> Option<Vec<u8>> {
        let (scram, lookup) = (Arc::clone(&self.keys.scram), key.lookup.clone());
        let text = key.text.clone();
        tokio::task::spawn_blocking(move || scram.make(&lookup, &text)).await.ok()
    }

    async fn prove_key(&self, peer: &Peer, text: &str) -> Result<Identity, Refusal> {
        let (claims, liveness) = self.keys.check(text).await?;
        let project = self.projects.get(claims.project).await?;
        let project = project.ok_or_else(refusal::invalid_key)?;
        admit(peer, &project, claims, liveness)
    }

    async fn prove_token(&self, peer: &Peer, text: &str) -> Result<Identity, Refusal> {
        let (token, project) = self.read_token(text).await?;
        let named = project.project;
        let (claims, kind) = self.check_token(&token, &project).await?;
        if project.has_revoked(&claims) {
            metrics::counter!(metric::TOKENS_REVOKED_REFUSED).increment(1);
            return Err(refusal::revoked_token());
        }
        let holder = Holder { project: named, kind };
        let liveness = self.shared.livenesses.get(holder.clone());
        // The key may have been removed between reading the project and taking the switch.
        if !self.projects.still_trusts(&holder, &project) {
            return Err(refusal::invalid_token("the token's key has just been changed"));
        }
        admit(peer, &project, claims, liveness)
    }

    async fn read_token<'a>(
        &self,
        text: &'a str,
    ) -> Result<(Unproven<'a>, Arc<ProjectSnapshot>), Refusal> {
        let token = token::parse(text, self.settings.token_bytes_max);
        let token = token.map_err(refusal::invalid_token)?;
        let named = token.project().map_err(refusal::invalid_token)?;
        let project = self.projects.get(named).await?.ok_or_else(|| {
            refusal::invalid_token("the token is not signed by a key of the project")
        })?;
        Ok((token, project))
    }

    /// Looks at a token without letting anybody in by it: what it is recognised by when it is taken
    /// back. One that was taken back already is answered as well.
    ///
    /// # Errors
    /// As `authenticate`.
    pub async fn examine(&self, text: &str) -> Result<SeenToken, Refusal> {
        let (token, project) = self.read_token(text).await?;
        let (claims, _) = self.check_token(&token, &project).await?;
        let jti = token.claims.jti().filter(|jti| revocations::is_usable(jti));
        Ok(SeenToken {
            tenant: project.tenant,
            project: project.project,
            principal: claims.principal,
            jti: jti.map(str::to_owned),
            fingerprint: revocations::fingerprint(token.input),
            ends_at: token_check::milliseconds(token.claims.exp),
        })
    }

    pub fn token_times(&self) -> TokenTimes {
        let leeway_ms = i64::try_from(self.settings.token_leeway_ms).unwrap_or(i64::MAX);
        TokenTimes { lifetime_ms_max: self.settings.token_lifetime_ms(), leeway_ms }
    }

    async fn check_token(
        &self,
        token: &Unproven<'_>,
        project: &ProjectSnapshot,
    ) -> Result<(Claims, HolderKind), Refusal> {
        let now_ms = self.shared.clock.now_ms();
        let name = token.kid.as_deref().and_then(token::split_kid).map(|(_, name)| name);
        if let Some(own) = name.and_then(|name| project.tokens.key(name)) {
            let (key, issuer) = (&own.key, Issuer::Project);
            let claims = token_check::check(token, key, issuer, project, &self.settings, now_ms)?;
            return Ok((claims, HolderKind::SigningKey(own.id)));
        }
        let Some(url) = project.tokens.settings.jwks_url.as_deref().filter(|_| name.is_none())
        else {
            let why = "the token is not signed by a key of the project";
            return Err(refusal::invalid_token(why));
        };
        let key_sets = &self.shared.key_sets;
        let found = key_sets.find(url, token.kid.as_deref(), token.algorithm).await?;
        let (key, issuer) = (&found.key, Issuer::KeySet);
        let claims = token_check::check(token, key, issuer, project, &self.settings, now_ms)?;
        Ok((claims, HolderKind::KeySet { url: url.into(), key: found.print }))
    }

    /// Whoever operates the installation, acting in a project: every scope, no rate, also when the
    /// tenant is suspended. Only for callers that have checked an operator token.
    pub async fn operator(&self, project: ProjectId) -> Result<Identity, Refusal> {
        self.insider(project, port::identity::OPERATOR, HolderKind::Operator).await
    }

    /// As `operator`, for a user who acts by the admin API and is named in the trail. Only for
    /// callers that have checked what he may do.
    pub async fn operator_as(
        &self,
        project: ProjectId,
        principal: &str,
    ) -> Result<Identity, Refusal> {
        self.insider(project, principal, HolderKind::Operator).await
    }

    /// The platform itself, at work in a project: every scope, no rate, no quota. Only for what the
    /// platform does by itself, never on somebody's behalf.
    pub async fn platform(&self, project: ProjectId) -> Result<Identity, Refusal> {
        self.insider(project, port::identity::PLATFORM, HolderKind::Platform).await
    }

    async fn insider(
        &self,
        project: ProjectId,
        principal: &str,
        kind: HolderKind,
    ) -> Result<Identity, Refusal> {
        let found = self.projects.get(project).await?.ok_or_else(refusal::project_not_found)?;
        let claims = Claims {
            tenant: found.tenant,
            project,
            principal: PrincipalId(principal.into()),
            scopes: Scopes::all(),
            grants: None,
            key: None,
            issued_at: None,
            expires_at: None,
            rate_per_second: None,
            origin: None,
            marks: None,
            attributes: None,
        };
        let holder = Holder { project, kind };
        Ok(Identity::mint(claims, self.shared.livenesses.get(holder)))
    }

    /// The project as last read, without waiting: there is one for every identity just proven.
    pub fn snapshot(&self, project: ProjectId) -> Option<Arc<ProjectSnapshot>> {
        self.projects.remembered(project)
    }

    /// The project, read again when what is remembered is too old.
    pub async fn fresh_snapshot(
        &self,
        project: ProjectId,
    ) -> Result<Arc<ProjectSnapshot>, Refusal> {
        self.projects.get(project).await?.ok_or_else(refusal::project_not_found)
    }

    /// A new API key to be stored by the control plane and shown once.
    pub fn new_api_key(&self, environment: Environment) -> NewApiKey {
        self.keys.hasher.generate(environment, self.rng.as_ref())
    }

    /// The control plane changed something. When this has answered, nothing old counts any more:
    /// sessions that lost their right say so (`Identity::is_revoked`), and snapshots are new. A
    /// record that cannot be read now is tried again by `refresh`; until then its sessions go on
    /// and new requests for it are refused.
    pub async fn changed(&self, change: &Change) {
        self.shared.epoch.advance();
        self.forget(change);
        if self.review(change).await.is_err() {
            let mut pending = self.pending.lock();
            if pending.len() < PENDING_MAX && !pending.contains(change) {
                pending.push(change.clone());
            }
        }
    }

    fn forget(&self, change: &Change) {
        match change {
            Change::Key(key) => self.keys.forget(|record| record.id == *key),
            Change::Project(project) => {
                self.keys.forget(|record| record.project == *project);
                self.projects.expire(*project);
            }
            Change::Tenant(tenant) => {
                self.keys.forget(|record| record.tenant == *tenant);
                for project in self.projects.of_tenant(*tenant) {
                    self.projects.expire(project);
                }
            }
        }
    }

    async fn review(&self, change: &Change) -> Result<(), Refusal> {
        let projects = match change {
            Change::Key(_) => Vec::new(),
            Change::Project(project) => vec![*project],
            Change::Tenant(tenant) => self.projects.of_tenant(*tenant),
        };
        for project in &projects {
            self.projects.review(*project).await?;
        }
        for (holder, _) in self.shared.livenesses.in_use() {
            let HolderKind::ApiKey { id, lookup } = &holder.kind else { continue };
            if projects.contains(&holder.project) || *change == Change::Key(*id) {
                self.keys.review(&holder, lookup).await?;
            }
        }
        Ok(())
    }

    /// Looks again at what open sessions rest on, as far as it is older than half of
    /// `Settings::fresh_ms_max`, and answers what turned out to be different, so that the owner
    /// acts on it. Called twice in that time, no session outlives its right by more than it.
    pub async fn refresh(&self) -> Vec<Change> {
        let pending = std::mem::take(&mut *self.pending.lock());
        let mut changes = Vec::new();
        for change in pending {
            self.changed(&change).await;
            changes.push(change);
        }
        let in_use = self.shared.livenesses.in_use();
        let projects: BTreeSet<ProjectId> =
            in_use.iter().map(|(holder, _)| holder.project).collect();
        let mut reviews = stream::iter(projects)
            .map(async |project| (project, self.projects.review(project).await))
            .buffer_unordered(REVIEWS_AT_ONCE);
        while let Some((project, ended)) = reviews.next().await {
            if ended.unwrap_or(false) {
                changes.push(Change::Project(project));
            }
        }
        drop(reviews);
        changes.extend(self.projects.take_differences());
        let mut reviews = stream::iter(in_use)
            .map(|(holder, switch)| self.refresh_key(holder, switch))
            .buffer_unordered(REVIEWS_AT_ONCE);
        while let Some(found) = reviews.next().await {
            changes.extend(found);
        }
        changes
    }

    /// Fetches the key sets that open sessions stand on, as far as they are older than
    /// `JwksSettings::fresh_ms_max`; the next `refresh` ends sessions whose key is published no
    /// more. Apart from it, since a source may take its time.
    pub async fn refresh_key_sets(&self) {
        let urls: BTreeSet<Arc<str>> = self
            .shared
            .livenesses
            .in_use()
            .into_iter()
            .filter_map(|(holder, _)| match holder.kind {
                HolderKind::KeySet { url, .. } => Some(url),
                _ => None,
            })
            .collect();
        stream::iter(urls)
            .for_each_concurrent(FETCHES_AT_ONCE, async |url| {
                self.shared.key_sets.renew(&url).await;
            })
            .await;
    }

    async fn refresh_key(&self, holder: Holder, switch: Arc<Liveness>) -> Option<Change> {
        let HolderKind::ApiKey { id, lookup } = &holder.kind else { return None };
        if !self.keys.is_in_use(lookup, &switch) {
            return None;
        }
        let ended = self.keys.review(&holder, lookup).await;
        ended.unwrap_or(false).then_some(Change::Key(*id))
    }
}

fn count_failure(peer: &Peer, refusal: &Refusal) {
    let code = refusal.code().name();
    metrics::counter!(metric::AUTH_FAILURES, "code" => code).increment(1);
    tracing::debug!(request = %peer.request_id, code, "a credential is refused");
}

fn admit(
    peer: &Peer,
    project: &ProjectSnapshot,
    mut claims: Claims,
    liveness: Arc<Liveness>,
) -> Result<Identity, Refusal> {
    if project.is_suspended() {
        return Err(refusal::tenant_suspended());
    }
    claims.origin = Some(Origin { address: peer.address.ip(), is_tls: peer.is_tls });
    Ok(Identity::mint(claims, liveness))
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}
