//! Which URLs key sets may be fetched from. Tenants choose them, so without care a tenant could
//! make the server speak to its own network: only TLS, only public addresses, decided on the
//! addresses that are really connected to and not on names.

use crate::settings::JwksSettings;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2_048;

/// Parses and judges a URL; the error says what is wrong, in words for the project's owner.
pub fn check(url: &str, settings: &JwksSettings) -> Result<Url, &'static str> {
    if url.len() > URL_BYTES_MAX {
        return Err("the URL is too long");
    }
    let url = Url::parse(url).map_err(|_| "the URL is not readable")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL carries a user name or a password");
    }
    let host = url.host_str().ok_or("the URL has no host")?;
    // An IPv6 address stands in brackets.
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let is_loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if settings.plain_http_allowed || is_loopback => {}
        "http" => return Err("the URL must use https"),
        _ => return Err("the URL must use https"),
    }
    if address.is_some_and(|address| !may_connect(address, settings)) {
        return Err("the URL points to a loopback or private address");
    }
    Ok(url)
}

fn may_connect(address: IpAddr, settings: &JwksSettings) -> bool {
    settings.private_addresses_allowed
        || is_public(address)
        || settings.allow_networks.iter().any(|network| network.contains(address))
}

/// Reachable over the public internet (the IANA special-purpose registries say what is not).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match (first, second, third) {
        // "This network", private, loopback, multicast, reserved and broadcast.
        (0 | 10 | 127 | 224..=255, _, _) => true,
        // Carrier-grade NAT, link-local, private.
        (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, 6to4 relays, benchmarking.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) => true,
        (198, 51, 100) | (203, 0, 113) => true,
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b) {
        // NAT64 and 6to4 carry an IPv4 address that decides.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => is_public_v4(v4(g, h)),
        (0x2002, _) => is_public_v4(v4(b, c)),
        // Teredo, benchmarking and documentation.
        (0x2001, 0x0000 | 0x0002 | 0x0db8) | (0x3fff, _) => false,
        // Global unicast; everything else is loopback, local, multicast or not assigned.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

/// Resolves names for the fetcher and leaves out what it may not connect to. Address and decision
/// are one: a name that answers differently the next time gains nothing.
pub(crate) struct GuardedResolver {
    pub settings: JwksSettings,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = self.settings.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| may_connect(address.ip(), &settings)).collect();
            if allowed.is_empty() {
                return Err("the name has no address that may be connected to".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
