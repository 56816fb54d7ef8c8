//! Which addresses can have passkeys.

use crate::{NoParty, RelyingParty};

#[test]
fn a_site_is_a_name_over_a_secure_way() {
    let good = [
        ("https://console.example.org", "console.example.org", "https://console.example.org"),
        ("https://Console.Example.org:443/", "console.example.org", "https://console.example.org"),
        ("https://example.org:8443/staff/", "example.org", "https://example.org:8443"),
        ("http://localhost:8081", "localhost", "http://localhost:8081"),
        ("http://localhost:80/x", "localhost", "http://localhost"),
        ("http://one.localhost:81", "one.localhost", "http://one.localhost:81"),
    ];
    for (url, id, origin) in good {
        let party = RelyingParty::new(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!((party.id(), party.origin()), (id, origin), "{url}");
    }
    let bad = [
        ("http://console.example.org", NoParty::NotSecure),
        ("http://localhost.example.org", NoParty::NotSecure),
        ("http://127.0.0.1:8081", NoParty::NotAName),
        ("https://192.0.2.1", NoParty::NotAName),
        ("https://[::1]:8081", NoParty::NotAName),
        ("https://[::1]", NoParty::NotAName),
        ("ftp://localhost", NoParty::NotAnAddress),
        ("https://", NoParty::NotAnAddress),
        ("https://:80", NoParty::NotAnAddress),
        ("https://user@example.org", NoParty::NotAnAddress),
        ("https://exa mple.org", NoParty::NotAnAddress),
        ("https://example.org:port", NoParty::NotAnAddress),
        ("console.example.org", NoParty::NotAnAddress),
        ("", NoParty::NotAnAddress),
    ];
    for (url, why) in bad {
        assert_eq!(RelyingParty::new(url).err(), Some(why), "{url}");
    }
}
