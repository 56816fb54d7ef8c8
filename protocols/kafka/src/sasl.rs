//! SASL (RFC 4422) as Kafka frames it: which mechanisms there are, and the credential in a client's
//! first message. SCRAM and GSSAPI show none: their messages are in `scram` and `kerberos`.

use port::{Code, Credential, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// RFC 4616: a key's id and its secret, or `token` and a token.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 5802 and RFC 7677: a key's id, and a proof that its secret is known.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// RFC 7628: a token.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
    /// RFC 4752: a ticket of Kerberos for this service, in a server that was built with it.
    #[serde(rename = "GSSAPI")]
    Gssapi,
}

/// The name by which PLAIN takes a token as the password.
const TOKEN_USER: &str = "token";

impl Mechanism {
    /// Those that need nothing but the platform.
    pub const USUAL: [Mechanism; 4] =
        [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::OauthBearer];
    const GIVEN: [Mechanism; 1] = [Mechanism::Gssapi];

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Gssapi => "GSSAPI",
        }
    }

    pub fn named(name: &str) -> Option<Mechanism> {
        let mut all = Mechanism::USUAL.into_iter().chain(Mechanism::GIVEN);
        all.find(|mechanism| mechanism.name() == name)
    }

    /// The credential in a client's message, and whose it says it is.
    ///
    /// # Errors
    /// When it is no message of this mechanism, or the mechanism shows none.
    pub fn credential(self, message: &[u8]) -> Result<Presented, Refusal> {
        let text = std::str::from_utf8(message).map_err(|_| malformed(self))?;
        match self {
            Mechanism::Plain => plain(text),
            Mechanism::OauthBearer => bearer(text),
            Mechanism::ScramSha256 | Mechanism::ScramSha512 | Mechanism::Gssapi => {
                Err(malformed(self))
            }
        }
    }
}

/// What a client has shown.
pub struct Presented {
    pub credential: Credential,
    /// The id of the key that the client means to show, if it means one.
    pub key: Option<String>,
}

fn malformed(mechanism: Mechanism) -> Refusal {
    let message = format!("this is no message of SASL {}", mechanism.name());
    Refusal::new(Code::InvalidRequest, message)
}

fn plain(text: &str) -> Result<Presented, Refusal> {
    let mut parts = text.split('\0');
    let (Some(acting_for), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed(Mechanism::Plain));
    };
    if !acting_for.is_empty() && acting_for != user {
        return Err(Refusal::new(Code::InvalidApiKey, "nobody acts for somebody else here"));
    }
    let key = (user != TOKEN_USER).then(|| user.to_owned());
    Ok(Presented { credential: Credential::from_bearer(password), key })
}

/// `n,a=…,^Aauth=Bearer …^A^A`, where `^A` is a byte of value 1.
fn bearer(text: &str) -> Result<Presented, Refusal> {
    let bad = || malformed(Mechanism::OauthBearer);
    let (header, pairs) = text.split_once('\x01').ok_or_else(bad)?;
    if !header.starts_with("n,") {
        return Err(bad());
    }
    let auth = pairs.split('\x01').find_map(|pair| pair.strip_prefix("auth=")).ok_or_else(bad)?;
    let (scheme, token) = auth.split_once(' ').ok_or_else(bad)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(bad());
    }
    Ok(Presented { credential: Credential::from_bearer(token.trim()), key: None })
}
