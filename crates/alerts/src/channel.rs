//! Whom alerts are told: an address of each kind, checked, with what must not be seen sealed.

use identity::Sealer;
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use standard_webhooks::SigningKey;
use stdx::Rng;
use tenancy::{AlertChannel, ChannelKind};
use webhooks::Courier;

/// Bytes of an address.
const ADDRESS_BYTES_MAX: usize = 2_048;
/// Bytes of a secret that is made here.
const SECRET_BYTES: usize = 32;

/// What is stored sealed.
#[derive(Serialize, Deserialize)]
struct Hidden {
    url: String,
    /// `whsec_...`
    secret: Option<String>,
}

/// An address that can be used.
pub enum ChannelAddress {
    Mail(String),
    Webhook { url: String, key: Box<SigningKey> },
    Slack { url: String },
}

/// A channel to be stored: how its address is shown, what is sealed, and the signing secret that is
/// shown once.
pub struct Sealed {
    pub shown: String,
    pub sealed: Option<Vec<u8>>,
    pub secret: Option<SecretString>,
}

fn bad(why: &str, hint: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field("address").hint(hint)
}

/// Where the sealed bytes lie: the name is unique and never changes.
fn place(name: &str) -> String {
    format!("alert_channels:{name}")
}

/// Checks an address and seals what must not be seen. A webhook gets a signing secret, which is
/// shown once; a Slack address is itself a secret.
pub fn seal(
    name: &str,
    kind: ChannelKind,
    address: &str,
    courier: &Courier,
    sealer: &Sealer,
    rng: &dyn Rng,
) -> Result<Sealed, Refusal> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(bad("the address is longer than 2048 bytes", "a shorter one"));
    }
    if kind == ChannelKind::Mail {
        let is_mail = address.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !address.contains(char::is_whitespace)
        });
        if !is_mail {
            return Err(bad("this is no mail address", "somebody@example.org"));
        }
        return Ok(Sealed { shown: address.to_owned(), sealed: None, secret: None });
    }
    courier.check(address).map_err(|refusal| refusal.field("address"))?;
    let (shown, secret) = match kind {
        ChannelKind::Slack => {
            let host = address.split('/').nth(2).unwrap_or_default();
            (format!("https://{host}/…"), None)
        }
        ChannelKind::Webhook | ChannelKind::Mail => {
            let mut seed = [0; SECRET_BYTES];
            rng.fill(&mut seed);
            let key = SigningKey::from_shared(&seed).map_err(|error| Refusal::internal(&error))?;
            (address.to_owned(), Some(key.for_receiver()))
        }
    };
    let text = secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    let hidden = Hidden { url: address.to_owned(), secret: text };
    let plain = serde_json::to_vec(&hidden).map_err(|error| Refusal::internal(&error))?;
    Ok(Sealed { shown, sealed: Some(sealer.seal(&place(name), &plain)), secret })
}

/// The address as it is used; an error says why it cannot be.
pub fn open(channel: &AlertChannel, sealer: &Sealer) -> Result<ChannelAddress, String> {
    if channel.kind == ChannelKind::Mail {
        return Ok(ChannelAddress::Mail(channel.address.clone()));
    }
    let sealed = channel.sealed.as_deref().ok_or("the channel has no address")?;
    let plain = sealer.open(&place(&channel.name), sealed).map_err(|error| error.to_string())?;
    let hidden: Hidden =
        serde_json::from_slice(plain.expose_secret()).map_err(|error| error.to_string())?;
    match (channel.kind, hidden.secret) {
        (ChannelKind::Webhook, Some(secret)) => {
            let key = SigningKey::parse(&secret).map_err(|error| error.to_string())?;
            Ok(ChannelAddress::Webhook { url: hidden.url, key: Box::new(key) })
        }
        (ChannelKind::Webhook, None) => Err("the channel has no signing secret".to_owned()),
        (ChannelKind::Slack | ChannelKind::Mail, _) => {
            Ok(ChannelAddress::Slack { url: hidden.url })
        }
    }
}
