//! Setting a provider up: what is asked for is checked, the client's secret sealed, and the whole
//! tried out. It must not know who may set one up: its callers do.

use super::People;
use super::provided::missing;
use super::vouched::EVERYBODY;
use crate::oidc::client::{Exchange, ExchangeError};
use crate::oidc::discovery;
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use tenancy::{Actor, Provider, ProviderId, ProviderSettings, ProviderTerms, TenancyError};
use types::TenantId;

const CLIENT_ID_BYTES_MAX: usize = 512;
const SECRET_BYTES_MAX: usize = 4 * 1024;
const SCOPES_MAX: usize = 20;
const WORD_BYTES_MAX: usize = 200;
/// No provider gives it out, so none takes it back: it shows whether the client itself is known.
const NO_CODE: &str = "mainstem-tests-the-client-with-a-code-that-nobody-gave";

/// What somebody wants a provider to be.
pub struct ProviderWish {
    pub name: String,
    pub client_id: String,
    pub secret: SecretChange,
    pub terms: ProviderTerms,
    pub is_enabled: bool,
    pub is_offered: bool,
    /// What whoever asks may do where it counts; `None`: everything.
    pub ceiling: Option<Vec<String>>,
}

pub enum SecretChange {
    /// As it is; none for a new provider.
    Keep,
    Set(SecretString),
    Remove,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub what: &'static str,
    pub is_good: bool,
    /// In words for whoever looks after the provider.
    pub finding: String,
}

fn invalid(field: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field(field)
}

/// Opened only for the provider's issuer and client: a secret cannot be sent elsewhere by changing
/// where it goes.
fn place(tenant: Option<TenantId>, issuer: &str, client_id: &str) -> String {
    let owner = tenant.map_or_else(|| "installation".to_owned(), |tenant| tenant.to_string());
    format!("identity_providers/{owner}/{issuer}/{client_id}")
}

fn check_word(field: &str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    let is_good = !text.is_empty() && text.len() <= bytes_max;
    match is_good && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            let rule = format!("1 to {bytes_max} visible ASCII characters without blanks");
            Err(invalid(field, rule))
        }
    }
}

fn check_terms(tenant: Option<TenantId>, terms: &ProviderTerms) -> Result<(), Refusal> {
    if terms.scopes.len() > SCOPES_MAX {
        return Err(invalid("scopes", format!("at most {SCOPES_MAX} scopes")));
    }
    for scope in &terms.scopes {
        check_word("scopes", scope, WORD_BYTES_MAX)?;
    }
    check_word("verified_claim", &terms.verified_claim, WORD_BYTES_MAX)?;
    if let Some(claim) = &terms.groups_claim {
        check_word("groups_claim", claim, WORD_BYTES_MAX)?;
    }
    let needs_groups = terms.rules.iter().any(|rule| rule.group != EVERYBODY);
    if needs_groups && terms.groups_claim.is_none() {
        return Err(invalid("groups_claim", "rules for groups need the claim that lists them")
            .hint("often `groups`; `*` as the group is everybody, and needs none"));
    }
    let owns = |rule: &tenancy::GroupRule| rule.role == "owner" && rule.tenant.is_none();
    if tenant.is_none() && terms.rules.iter().any(owns) {
        return Err(invalid("rules", "owners of the installation are made by hand, not by a rule"));
    }
    Ok(())
}

impl People {
    fn settings_of(
        &self,
        (tenant, issuer): (Option<TenantId>, &str),
        before: Option<&Provider>,
        wish: ProviderWish,
    ) -> Result<ProviderSettings, Refusal> {
        check_word("client_id", &wish.client_id, CLIENT_ID_BYTES_MAX)?;
        check_terms(tenant, &wish.terms)?;
        let sealed_secret = match wish.secret {
            SecretChange::Remove => None,
            SecretChange::Set(secret) => {
                let text = secret.expose_secret();
                if text.is_empty() || text.len() > SECRET_BYTES_MAX {
                    return Err(invalid("client_secret", "a secret has 1 to 4096 bytes"));
                }
                let place = place(tenant, issuer, &wish.client_id);
                Some(self.sealer.seal(&place, text.as_bytes()))
            }
            SecretChange::Keep => {
                let kept = before.filter(|before| before.sealed_secret.is_some());
                if kept.is_some_and(|before| before.client_id != wish.client_id) {
                    let why = "another client has another secret: give it too";
                    return Err(invalid("client_secret", why).hint("or remove it with null"));
                }
                kept.and_then(|before| before.sealed_secret.clone())
            }
        };
        Ok(ProviderSettings {
            name: wish.name,
            client_id: wish.client_id,
            sealed_secret,
            terms: wish.terms,
            is_enabled: wish.is_enabled,
            is_offered: wish.is_offered,
            ceiling: wish.ceiling,
        })
    }

    /// The caller has checked that whoever asks may do so, and may give what the rules give.
    pub async fn create_provider(
        &self,
        tenant: Option<TenantId>,
        issuer: String,
        wish: ProviderWish,
        by: &Actor,
    ) -> Result<Provider, Refusal> {
        discovery::address(&issuer, self.oidc.reach()).map_err(|why| {
            invalid("issuer", why).hint(
                "as the provider writes it, like https://login.example.org; an operator can list \
                 other networks in `people.oidc.allow_networks`",
            )
        })?;
        let new = self.settings_of((tenant, &issuer), None, wish)?;
        Ok(self.tenancy.create_provider(tenant, issuer, new, by).await?)
    }

    /// As `create_provider`. Who changes it answers for all of it.
    pub async fn update_provider(
        &self,
        before: &Provider,
        wish: ProviderWish,
        by: &Actor,
    ) -> Result<Provider, Refusal> {
        let new = self.settings_of((before.tenant, &before.issuer), Some(before), wish)?;
        Ok(self.tenancy.update_provider(before.id, new, by).await?)
    }

    pub async fn provider(&self, provider: ProviderId) -> Result<Provider, Refusal> {
        match self.tenancy.provider(provider).await {
            Err(TenancyError::NotFound { .. }) => Err(missing()),
            found => Ok(found?),
        }
    }

    pub(super) fn provider_secret(
        &self,
        provider: &Provider,
    ) -> Result<Option<SecretString>, Refusal> {
        let Some(sealed) = &provider.sealed_secret else { return Ok(None) };
        let place = place(provider.tenant, &provider.issuer, &provider.client_id);
        let opened = self.sealer.open(&place, sealed).map_err(|error| Refusal::internal(&error))?;
        let text = String::from_utf8(opened.expose_secret().clone());
        Ok(Some(text.map_err(|error| Refusal::internal(&error.utf8_error()))?.into()))
    }

    /// Tries the provider out, as far as that goes without a person: each step with its finding, up
    /// to the first that fails.
    pub async fn try_provider(&self, provider: &Provider) -> Result<Vec<Tried>, Refusal> {
        let mut tried = Vec::new();
        let mut note = |what, finding: Result<String, String>| {
            let is_good = finding.is_ok();
            let finding = finding.unwrap_or_else(|why| why);
            tried.push(Tried { what, is_good, finding });
        };
        let at = match self.oidc.discover_anew(&provider.issuer).await {
            Ok(at) => at,
            Err(why) => {
                note("discovery", Err(why));
                return Ok(tried);
            }
        };
        let found = format!("{} describes itself; codes go to {}", at.issuer, at.token_endpoint);
        note("discovery", Ok(found));
        let keys = self.oidc.count_keys(&at).await;
        note("keys", keys.and_then(count_of_keys));
        let secret = self.provider_secret(provider)?;
        let code = SecretString::from(NO_CODE);
        let wish = Exchange {
            client_id: &provider.client_id,
            secret: secret.as_ref(),
            code: &code,
            redirect: &self.return_url(),
            verifier: &code,
        };
        note("client", known_client(self.oidc.exchange(&at, wish).await.err()));
        Ok(tried)
    }
}

fn count_of_keys(count: usize) -> Result<String, String> {
    match count {
        0 => Err("the key set holds no key for RS256, ES256 or EdDSA".to_owned()),
        count => Ok(format!("{count} keys that ID tokens may be signed with")),
    }
}

/// What the token endpoint's answer to a made-up code says of the client (RFC 6749 section 5.2).
fn known_client(error: Option<ExchangeError>) -> Result<String, String> {
    match error {
        Some(ExchangeError::Refused(word)) if word == "invalid_grant" => {
            Ok("the provider knows the client and takes its secret".to_owned())
        }
        Some(ExchangeError::Refused(word)) if word == "invalid_client" => {
            Err("the provider does not know the client id, or the secret is wrong".to_owned())
        }
        Some(ExchangeError::Refused(word)) if word == "unauthorized_client" => {
            Err("the provider does not let this client use authorization codes".to_owned())
        }
        Some(ExchangeError::Refused(word)) => Ok(format!(
            "the provider answers `{word}` to a made-up code, which says little about the client"
        )),
        Some(ExchangeError::Failed(why)) => Err(why),
        None => Err("the provider takes a code that it never gave".to_owned()),
    }
}
