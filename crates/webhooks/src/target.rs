//! Where a webhook may connect. Tenants choose the URLs, so without care a tenant could make the
//! server speak to its own network. Decided on the addresses that are really connected to: the
//! resolver of the HTTP client hands over checked addresses only, so there is no second answer of a
//! name between the check and the connection.

use crate::config::Config;
use crate::network::{Network, plain};
use port::{Code, Refusal};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2_048;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// A URL that was judged, as far as it can be without asking for its name's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

fn refuse(why: &str, hint: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field("url").hint(hint)
}

/// Parses and judges a URL: when it is defined, and again before each request, since what is
/// allowed may have changed.
pub fn check(url: &str, config: &Config) -> Result<Target, Refusal> {
    const FORM: &str = "https://host/path";
    if url.len() > URL_BYTES_MAX {
        return Err(refuse("the URL is longer than 2048 bytes", FORM));
    }
    let url = Url::parse(url).map_err(|_| refuse("this is not a web address", FORM))?;
    match url.scheme() {
        "https" => {}
        "http" if config.plain_http_allowed => {}
        "http" => {
            return Err(refuse(
                "the endpoint must use https",
                "`webhooks.plain_http_allowed` takes plain http too",
            ));
        }
        _ => return Err(refuse("the endpoint must use https", FORM)),
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "send the secret as a custom header, which is stored sealed";
        return Err(refuse("the URL carries a user name or a password", hint));
    }
    let host = url.host_str().ok_or_else(|| refuse("the URL has no host", FORM))?;
    let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        if !may_connect(address, &config.allow_networks) {
            return Err(private());
        }
    } else if is_local_name(host) && config.allow_networks.is_empty() {
        return Err(private());
    }
    Ok(Target(url))
}

fn private() -> Refusal {
    refuse(
        "the endpoint's address is not public",
        "an operator can list its network in `webhooks.allow_networks`",
    )
}

/// RFC 6761 section 6.3: never a name of the public internet.
fn is_local_name(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Public, or listed by the operator.
pub(crate) fn may_connect(address: IpAddr, allowed: &[Network]) -> bool {
    let address = plain(address);
    identity::jwks_target::is_public(address)
        || allowed.iter().any(|network| network.contains(address))
}

/// Gives the client those addresses of a name that it may connect to.
pub(crate) struct GuardedResolver {
    pub(crate) allowed: Arc<[Network]>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable = choose(found, &allowed);
            if usable.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Found again in the client's error, to tell people what happened.
pub(crate) const NOT_PUBLIC: &str = "the name has no public address";

pub(crate) fn choose(
    found: impl Iterator<Item = SocketAddr>,
    allowed: &[Network],
) -> Vec<SocketAddr> {
    found.filter(|at| may_connect(at.ip(), allowed)).take(ADDRESSES_MAX).collect()
}
