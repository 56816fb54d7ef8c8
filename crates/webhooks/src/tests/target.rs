//! Which URLs and addresses are taken: all the ways into a private network that are known.

use crate::config::Config;
use crate::network::Network;
use crate::target::{check, choose, may_connect};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn public_only() -> Config {
    Config::default()
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

#[test]
fn urls_that_are_refused_where_they_are_defined() {
    let table = [
        "",
        "example.org",
        "ftp://example.org/",
        "http://example.org/",
        "https://",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://0/",
        "https://10.0.0.1/",
        "https://172.16.0.1:8443/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[fc00::1]/",
        "https://[fd12::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://①②⑦.0.0.1/",
    ];
    for url in table {
        let refusal = check(url, &public_only()).expect_err(url);
        assert_eq!(refusal.field_name(), Some("url"), "{url}");
        assert!(refusal.hint_text().is_some(), "{url}");
    }
    let long = format!("https://example.org/{}", "a".repeat(2_048));
    assert!(check(&long, &public_only()).is_err());
    for url in
        ["https://example.org/hooks?key=1", "https://8.8.8.8/", "https://[2606:4700::1]:444/"]
    {
        assert!(check(url, &public_only()).is_ok(), "{url}");
    }
}

#[test]
fn an_operator_lists_exceptions() {
    let mut config = public_only();
    config.allow_networks = networks(&["10.1.0.0/16", "127.0.0.1", "fd00::/8"]);
    for url in
        ["https://10.1.2.3/", "https://127.0.0.1/", "https://[fd00::5]/", "https://localhost/"]
    {
        assert!(check(url, &config).is_ok(), "{url}");
    }
    for url in ["https://10.2.0.1/", "https://127.0.0.2/", "https://[fe80::1]/", "http://10.1.2.3/"]
    {
        assert!(check(url, &config).is_err(), "{url}");
    }
    config.plain_http_allowed = true;
    assert!(check("http://10.1.2.3/", &config).is_ok());
}

#[test]
fn of_a_names_addresses_only_the_allowed_are_connected_to() {
    let found =
        ["10.0.0.1:0", "[::1]:0", "8.8.8.8:0", "[::ffff:192.168.0.1]:0", "169.254.169.254:0"];
    let found: Vec<SocketAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
    let usable = choose(found.iter().copied(), &[]);
    assert_eq!(usable, ["8.8.8.8:0".parse().unwrap()]);
    let usable = choose(found.iter().copied(), &networks(&["192.168.0.0/24"]));
    assert_eq!(usable.len(), 2, "an IPv4 address in IPv6 clothing is that address");
    let private = found.iter().copied().filter(|at| at.ip().to_string() != "8.8.8.8");
    assert!(choose(private, &[]).is_empty());
}

#[test]
fn networks_in_text() {
    for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "a/8", "/8"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
    let all: Network = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains("127.0.0.1".parse().unwrap()));
    assert!(!all.contains("::1".parse().unwrap()), "each family by itself");
    let one: Network = "10.0.0.9".parse().unwrap();
    assert_eq!(one.to_string(), "10.0.0.9/32");
    assert!(!one.contains("10.0.0.8".parse().unwrap()));
}

proptest! {
    #[test]
    fn a_network_holds_what_shares_its_bits(
        base in any::<u32>(),
        other in any::<u32>(),
        bits in 0u8..=32,
    ) {
        let text = format!("{}/{bits}", std::net::Ipv4Addr::from(base));
        let network: Network = text.parse().unwrap();
        let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
        let address = IpAddr::from(std::net::Ipv4Addr::from(other));
        prop_assert_eq!(network.contains(address), base & mask == other & mask);
    }

    #[test]
    fn what_is_listed_may_be_connected_to_and_no_more(address in any::<[u8; 4]>()) {
        let address = IpAddr::from(address);
        let listed = networks(&[&address.to_string()]);
        prop_assert!(may_connect(address, &listed));
        prop_assert_eq!(may_connect(address, &[]), identity::jwks_target::is_public(address));
    }

    #[test]
    fn no_url_panics(text in ".*") {
        let _ = check(&text, &public_only());
        let _ = check(&format!("https://{text}"), &public_only());
        let _ = text.parse::<Network>();
    }
}
