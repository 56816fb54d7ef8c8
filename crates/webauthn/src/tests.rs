//! Answers of a passkey in software, good ones and bent ones, and any bytes at all.

mod answers;
mod bytes;
mod parties;

use crate::RelyingParty;
use testkit::authenticator::Page;

const ORIGIN: &str = "https://console.example.org";
const CHALLENGE: &[u8] = b"a challenge of thirty-two bytes!";

fn party() -> RelyingParty {
    RelyingParty::new(ORIGIN).expect("a name over https")
}

fn page() -> Page {
    Page::new(ORIGIN, "console.example.org")
}
