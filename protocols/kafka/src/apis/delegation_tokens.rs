//! Delegation tokens (KIP-48): made by a key for itself, renewed by it and whom it names, shown to
//! it alone. A client that came in by one makes and changes none.

use crate::call::Call;
use crate::errors;
use crate::messages::create_delegation_token::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse,
};
use crate::messages::describe_delegation_token::{
    DescribeDelegationTokenRequest, DescribeDelegationTokenResponse, DescribedDelegationToken,
    DescribedDelegationTokenRenewer,
};
use crate::messages::expire_delegation_token::{
    ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
};
use crate::messages::renew_delegation_token::{
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use crate::sign_in::Means;
use crate::tokens::{self, Name, Token};
use bytes::Bytes;
use port::{Batches, Challenges, Refusal};
use types::{KeyId, TimestampMs};

/// Keys that may renew one token at most.
const RENEWERS_MAX: usize = 100;
/// Expired ones that are forgotten with one that is made.
const SWEPT_MAX: usize = 100;
/// The only type of principal.
const USER: &str = "User";

/// Whoever may ask about tokens, and what is asked for it.
struct Asking<'a> {
    call: &'a Call,
    key: KeyId,
    batches: &'a dyn Batches,
    challenges: &'a dyn Challenges,
    now: TimestampMs,
}

impl<'a> Asking<'a> {
    fn new(call: &'a Call) -> Result<Asking<'a>, i16> {
        if call.desk.config.delegation_token_ms_max == 0 {
            return Err(errors::DELEGATION_TOKEN_AUTH_DISABLED);
        }
        let key = call.who.claims().key.filter(|_| call.means == Means::Credential);
        let key = key.ok_or(errors::DELEGATION_TOKEN_REQUEST_NOT_ALLOWED)?;
        let (Some(batches), Some(challenges)) = (call.hub.batches(), call.hub.challenges()) else {
            return Err(errors::DELEGATION_TOKEN_AUTH_DISABLED);
        };
        Ok(Asking { call, key, batches, challenges, now: call.clock.now_ms() })
    }

    async fn all(&self) -> Result<Vec<(Name, Token)>, i16> {
        let limit = self.call.desk.config.delegation_tokens_max;
        let found = tokens::all(self.batches, self.challenges, &self.call.who, limit).await;
        found.map_err(|refusal| told(&refusal))
    }

    async fn keep(&self, tokens: Vec<(String, Option<Token>)>) -> Result<(), i16> {
        tokens::keep(self.batches, &self.call.who, tokens).await.map_err(|refusal| told(&refusal))
    }

    fn hmac(&self, name: &Name) -> Bytes {
        let secret = self.challenges.token_secret(&name.text);
        secret.map_or_else(Bytes::new, |secret| Bytes::copy_from_slice(&secret.0))
    }

    /// The token of this secret, if whoever asks may change it.
    async fn changed(&self, hmac: &[u8]) -> Result<(Name, Token), i16> {
        let is_it = |(name, _): &(Name, Token)| tokens::is_same(&self.hmac(name), hmac);
        let found = self.all().await?.into_iter().find(is_it);
        let (name, token) = found.ok_or(errors::DELEGATION_TOKEN_NOT_FOUND)?;
        if !token.may_renew(&name, self.key) {
            return Err(errors::DELEGATION_TOKEN_OWNER_MISMATCH);
        }
        if !token.counts(self.now) {
            return Err(errors::DELEGATION_TOKEN_EXPIRED);
        }
        Ok((name, token))
    }

    /// From now for so long, or as configured, but not beyond its end.
    fn until(&self, period_ms: i64, ends_at: TimestampMs) -> TimestampMs {
        let usual = self.call.desk.config.delegation_token_renew_ms;
        let period_ms = if period_ms < 0 { signed(usual) } else { period_ms };
        self.now.saturating_add(period_ms).min(ends_at)
    }
}

fn told(refusal: &Refusal) -> i16 {
    errors::of_security(refusal).0
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

pub async fn create(
    call: &Call,
    request: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    created(call, request).await.unwrap_or_else(|error_code| CreateDelegationTokenResponse {
        error_code,
        ..CreateDelegationTokenResponse::default()
    })
}

async fn created(
    call: &Call,
    request: CreateDelegationTokenRequest,
) -> Result<CreateDelegationTokenResponse, i16> {
    let asking = Asking::new(call)?;
    let own = asking.key.to_string();
    let owner = request.owner_principal_name.filter(|name| !name.is_empty());
    if owner.is_some_and(|name| name != own) {
        return Err(errors::DELEGATION_TOKEN_AUTHORIZATION_FAILED);
    }
    if request.renewers.len() > RENEWERS_MAX {
        return Err(errors::INVALID_REQUEST);
    }
    let is_key = |name: &str| name.parse::<KeyId>().is_ok();
    let are_keys =
        request.renewers.iter().all(|it| it.principal_type == USER && is_key(&it.principal_name));
    if !are_keys {
        return Err(errors::INVALID_PRINCIPAL_TYPE);
    }
    let config = &call.desk.config;
    let longest_ms = signed(config.delegation_token_ms_max);
    let wanted_ms = Some(request.max_lifetime_ms).filter(|ms| *ms > 0).unwrap_or(longest_ms);
    let ends_at = asking.now.saturating_add(wanted_ms.min(longest_ms));
    // No longer than the key itself.
    let ends_at = call.who.claims().expires_at.map_or(ends_at, |end| end.min(ends_at));
    let token = Token {
        issued_at: asking.now,
        expires_at: asking.until(-1, ends_at),
        ends_at,
        renewers: request.renewers.into_iter().map(|it| it.principal_name).collect(),
    };
    let _turn = call.desk.tokens.of(call.who.project()).await;
    let (over, counting): (Vec<_>, Vec<_>) =
        asking.all().await?.into_iter().partition(|(_, token)| !token.counts(asking.now));
    if counting.len() >= config.delegation_tokens_max {
        return Err(errors::POLICY_VIOLATION);
    }
    let name = Name::draw(asking.challenges, call.who.project(), asking.key)
        .ok_or(errors::DELEGATION_TOKEN_AUTH_DISABLED)?;
    let mut entries = vec![(name.text.clone(), Some(token.clone()))];
    let rest = over.into_iter().take(SWEPT_MAX).map(|(name, _)| (name.text, None));
    entries.extend(rest);
    asking.keep(entries).await?;
    tracing::info!(key = %asking.key, until = token.ends_at, "a delegation token was given out");
    Ok(CreateDelegationTokenResponse {
        principal_type: USER.to_owned(),
        principal_name: own.clone(),
        token_requester_principal_type: USER.to_owned(),
        token_requester_principal_name: own,
        issue_timestamp_ms: token.issued_at,
        expiry_timestamp_ms: token.expires_at,
        max_timestamp_ms: token.ends_at,
        hmac: asking.hmac(&name),
        token_id: name.text,
        ..CreateDelegationTokenResponse::default()
    })
}

pub async fn renew(
    call: &Call,
    request: RenewDelegationTokenRequest,
) -> RenewDelegationTokenResponse {
    let outcome = async {
        let asking = Asking::new(call)?;
        let _turn = call.desk.tokens.of(call.who.project()).await;
        let (name, token) = asking.changed(&request.hmac).await?;
        let expires_at = asking.until(request.renew_period_ms, token.ends_at);
        asking.keep(vec![(name.text, Some(Token { expires_at, ..token }))]).await?;
        Ok(expires_at)
    };
    let (error_code, expiry_timestamp_ms) = ended(outcome.await);
    RenewDelegationTokenResponse { error_code, expiry_timestamp_ms, throttle_time_ms: 0 }
}

pub async fn expire(
    call: &Call,
    request: ExpireDelegationTokenRequest,
) -> ExpireDelegationTokenResponse {
    let outcome = async {
        let asking = Asking::new(call)?;
        let _turn = call.desk.tokens.of(call.who.project()).await;
        let (name, token) = asking.changed(&request.hmac).await?;
        // A negative period means now.
        let period_ms = request.expiry_time_period_ms.max(0);
        let expires_at = asking.until(period_ms, token.ends_at);
        let left = (expires_at > asking.now).then_some(Token { expires_at, ..token });
        asking.keep(vec![(name.text, left)]).await?;
        Ok(expires_at)
    };
    let (error_code, expiry_timestamp_ms) = ended(outcome.await);
    ExpireDelegationTokenResponse { error_code, expiry_timestamp_ms, throttle_time_ms: 0 }
}

fn ended(outcome: Result<TimestampMs, i16>) -> (i16, i64) {
    match outcome {
        Ok(expires_at) => (errors::NONE, expires_at),
        Err(error) => (error, -1),
    }
}

pub async fn describe(
    call: &Call,
    request: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    let outcome = async {
        let asking = Asking::new(call)?;
        let own = asking.key.to_string();
        let is_asked = request.owners.is_none_or(|owners| {
            owners.iter().any(|it| it.principal_type == USER && it.principal_name == own)
        });
        if !is_asked {
            return Ok(Vec::new());
        }
        let is_own =
            |(name, token): &(Name, Token)| name.key == asking.key && token.counts(asking.now);
        let found = asking.all().await?.into_iter().filter(is_own);
        Ok(found.map(|(name, token)| described(&asking, name, token)).collect())
    };
    let (error_code, tokens) = match outcome.await {
        Ok(tokens) => (errors::NONE, tokens),
        Err(error) => (error, Vec::new()),
    };
    DescribeDelegationTokenResponse { error_code, tokens, throttle_time_ms: 0 }
}

fn described(asking: &Asking<'_>, name: Name, token: Token) -> DescribedDelegationToken {
    let own = asking.key.to_string();
    let renewer = |principal_name| DescribedDelegationTokenRenewer {
        principal_type: USER.to_owned(),
        principal_name,
    };
    DescribedDelegationToken {
        principal_type: USER.to_owned(),
        principal_name: own.clone(),
        token_requester_principal_type: USER.to_owned(),
        token_requester_principal_name: own,
        issue_timestamp: token.issued_at,
        expiry_timestamp: token.expires_at,
        max_timestamp: token.ends_at,
        hmac: asking.hmac(&name),
        token_id: name.text,
        renewers: token.renewers.into_iter().map(renewer).collect(),
    }
}
