//! The site that asks for passkeys, and the two checks it makes: of a new credential (section 7.1)
//! and of an answer made with a known one (section 7.2). It must not know which user is meant, nor
//! whether the challenge was used before: the caller does.

use crate::authenticator_data::AuthenticatorData;
use crate::client_data::{self, Kind};
use crate::key::PublicKey;
use crate::{ATTESTATION_BYTES_MAX, AUTHENTICATOR_DATA_BYTES_MAX, Rejected, cbor};
use aws_lc_rs::digest::{SHA256, digest};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why there can be no passkeys at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoParty {
    #[error("browsers offer passkeys over https only, or at http://localhost")]
    NotSecure,
    #[error("browsers offer passkeys to names only, not to the number of an address")]
    NotAName,
    #[error("this is no address of a page")]
    NotAnAddress,
}

/// A site: its identifier, to which credentials are bound, and the one origin that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    origin: String,
}

/// What a browser brings after a credential was made, decoded from base64url.
#[derive(Debug, Clone, Default)]
pub struct RegistrationAnswer {
    pub client_data: Vec<u8>,
    pub attestation: Vec<u8>,
}

/// What a browser brings after a credential was used, decoded from base64url.
#[derive(Debug, Clone, Default)]
pub struct AssertionAnswer {
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

/// A credential that was just made, as it is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub credential_id: Vec<u8>,
    /// For `PublicKey::read`.
    pub public_key: Vec<u8>,
    /// Signatures made so far; 0 where the authenticator does not count.
    pub count: u32,
    /// It lives on several devices, or in a backup.
    pub is_synced: bool,
}

/// What a genuine answer says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    pub count: u32,
    pub is_synced: bool,
}

/// Scheme and authority of an address, without its user and path.
fn split(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain = !authority.is_empty() && !authority.contains('@') && authority.is_ascii();
    is_plain.then_some((scheme, authority))
}

impl RelyingParty {
    /// The site at this address: its identifier is the host's name.
    pub fn new(url: &str) -> Result<RelyingParty, NoParty> {
        let lower = url.to_ascii_lowercase();
        let (scheme, authority) = split(&lower).ok_or(NoParty::NotAnAddress)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_number = host.starts_with('[')
            || host.parse::<Ipv4Addr>().is_ok()
            || host.parse::<Ipv6Addr>().is_ok();
        if is_number {
            return Err(NoParty::NotAName);
        }
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if host.is_empty() || !host.chars().all(is_name) || !is_port {
            return Err(NoParty::NotAnAddress);
        }
        let is_local = host == "localhost" || host.ends_with(".localhost");
        let default_port = match scheme {
            "https" => "443",
            "http" if is_local => "80",
            "http" => return Err(NoParty::NotSecure),
            _ => return Err(NoParty::NotAnAddress),
        };
        let origin = match port.filter(|port| *port != default_port) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(RelyingParty { id: host.to_owned(), origin })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// As browsers write it: `https://console.example.org`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The credential that was made in answer to this challenge.
    pub fn register(
        &self,
        challenge: &[u8],
        answer: &RegistrationAnswer,
    ) -> Result<Registered, Rejected> {
        client_data::check(&answer.client_data, Kind::Create, challenge, &self.origin)?;
        if answer.attestation.len() > ATTESTATION_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let object = cbor::read_whole(&answer.attestation)?;
        let signed = object.named("authData").and_then(cbor::Value::bytes);
        let signed = signed.ok_or(Rejected::Malformed)?;
        let data = self.data(signed)?;
        let credential = data.credential.ok_or(Rejected::NoCredential)?;
        let key = PublicKey::read(credential.key)?;
        check_attestation(&object, &key, signed, &answer.client_data)?;
        Ok(Registered {
            credential_id: credential.id.to_vec(),
            public_key: credential.key.to_vec(),
            count: data.count,
            is_synced: data.is_synced,
        })
    }

    /// Checks an answer to this challenge, made with this key. Whether its count went back, and
    /// whose credential it is, is for the caller to know.
    pub fn assert(
        &self,
        challenge: &[u8],
        key: &PublicKey,
        answer: &AssertionAnswer,
    ) -> Result<Asserted, Rejected> {
        client_data::check(&answer.client_data, Kind::Get, challenge, &self.origin)?;
        let data = self.data(&answer.authenticator_data)?;
        let message = message(&answer.authenticator_data, &answer.client_data);
        key.verify(&message, &answer.signature)?;
        Ok(Asserted { count: data.count, is_synced: data.is_synced })
    }

    /// What the authenticator says, when it was asked by this site and somebody was there whom it
    /// knows.
    fn data<'a>(&self, bytes: &'a [u8]) -> Result<AuthenticatorData<'a>, Rejected> {
        if bytes.len() > AUTHENTICATOR_DATA_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let data = AuthenticatorData::read(bytes)?;
        if data.party_hash != digest(&SHA256, self.id.as_bytes()).as_ref() {
            return Err(Rejected::WrongParty);
        }
        if !data.is_present {
            return Err(Rejected::NotPresent);
        }
        if !data.is_verified {
            return Err(Rejected::NotVerified);
        }
        Ok(data)
    }
}

/// What an authenticator signs.
fn message(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, digest(&SHA256, client_data).as_ref()].concat()
}

/// `none` (section 8.7), which proves nothing, or self attestation (section 8.2), which proves that
/// the credential's own key was at hand. No maker's certificate is asked for, and none is taken.
fn check_attestation(
    object: &cbor::Value<'_>,
    key: &PublicKey,
    signed: &[u8],
    client_data: &[u8],
) -> Result<(), Rejected> {
    let statement = object.named("attStmt").ok_or(Rejected::Malformed)?;
    match object.named("fmt").and_then(cbor::Value::text) {
        Some("none") if *statement == cbor::Value::Map(Vec::new()) => Ok(()),
        Some("packed") if statement.named("x5c").is_none() => {
            let algorithm = statement.named("alg").and_then(cbor::Value::integer);
            let signature = statement.named("sig").and_then(cbor::Value::bytes);
            if algorithm != Some(key.algorithm()) {
                return Err(Rejected::Attestation);
            }
            key.verify(&message(signed, client_data), signature.ok_or(Rejected::Malformed)?)
        }
        Some(_) => Err(Rejected::Attestation),
        None => Err(Rejected::Malformed),
    }
}
