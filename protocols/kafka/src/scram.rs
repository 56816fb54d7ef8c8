//! The messages of SCRAM (RFC 5802) as a server reads and writes them. No computing: what a proof
//! is worth is asked of the platform.
//!
//! ```text
//! client  n,,n=key_0123,r=abc                    and, since Kafka 1.1, tokenauth=true
//! server  r=abcXYZ,s=c2FsdA==,i=4096
//! client  c=biws,r=abcXYZ,p=cHJvb2Y=
//! server  v=c2lnbmF0dXJl
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use port::challenges::Digest;
use port::{Challenge, Response};

/// Bytes of each message of a client at most.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// Of a user's name and of a nonce.
const PART_BYTES_MAX: usize = 512;
/// Extensions of one message at most.
const EXTENSIONS_MAX: usize = 16;

/// Why a message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    #[error("it is no message of SCRAM")]
    Form,
    #[error("it is longer than {MESSAGE_BYTES_MAX} bytes")]
    Long,
    #[error("channel binding is not offered")]
    Binding,
    #[error("nobody acts for somebody else here")]
    ForOther,
    #[error("it asks for an extension that is not known here")]
    Extension,
    #[error("it is no answer to what was asked")]
    OtherNonce,
}

/// A client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    pub user: String,
    /// The user is the id of a delegation token (Kafka's KIP-48).
    pub is_by_token: bool,
    nonce: String,
    /// What comes before the message proper, and must come again.
    gs2_header: String,
    bare: String,
}

/// A sign-in half way: the client was asked.
#[derive(Debug)]
pub struct Asked {
    pub user: String,
    pub is_by_token: bool,
    gs2_header: String,
    nonce: String,
    /// The client's part of it.
    own: usize,
    /// The client's first message and ours, as the proof covers them.
    said: String,
}

impl ClientFirst {
    pub fn read(message: &[u8]) -> Result<ClientFirst, Bad> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(Bad::Form)?;
        match binding {
            // `y`: the client could, and believes that we cannot, which is true.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(Bad::Binding),
            _ => return Err(Bad::Form),
        }
        let (acting_for, bare) = rest.split_once(',').ok_or(Bad::Form)?;
        let mut parts = bare.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n="));
        let user = match user {
            Some(user) => name(user)?,
            // `m=` is an extension without which the rest must not be understood.
            None if bare.starts_with("m=") => return Err(Bad::Extension),
            None => return Err(Bad::Form),
        };
        if !acting_for.is_empty() {
            let acting_for = acting_for.strip_prefix("a=").ok_or(Bad::Form)?;
            if name(acting_for)? != user {
                return Err(Bad::ForOther);
            }
        }
        let nonce = nonce(parts.next().and_then(|part| part.strip_prefix("r=")))?.to_owned();
        let is_by_token = extensions(parts)?.any(|part| part == "tokenauth=true");
        let gs2_header = text.strip_suffix(bare).ok_or(Bad::Form)?.to_owned();
        Ok(ClientFirst { user, is_by_token, nonce, gs2_header, bare: bare.to_owned() })
    }

    /// What the client is asked, and what to remember of it.
    pub fn ask(self, challenge: &Challenge) -> (Asked, String) {
        let ClientFirst { user, is_by_token, nonce, gs2_header, bare } = self;
        let own = nonce.len();
        let nonce = format!("{nonce}{}", challenge.nonce);
        let salt = STANDARD.encode(&challenge.salt);
        let question = format!("r={nonce},s={salt},i={}", challenge.iterations);
        let said = format!("{bare},{question}");
        (Asked { user, is_by_token, gs2_header, nonce, own, said }, question)
    }
}

impl Asked {
    /// A client's last message: its proof.
    pub fn read(self, digest: Digest, message: &[u8]) -> Result<Response, Bad> {
        let text = text(message)?;
        let (unproven, proof) = text.rsplit_once(",p=").ok_or(Bad::Form)?;
        let mut parts = unproven.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(Bad::Form)?;
        let binding = STANDARD.decode(binding).map_err(|_| Bad::Form)?;
        if binding != self.gs2_header.as_bytes() {
            return Err(Bad::Binding);
        }
        let shown = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(Bad::Form)?;
        // librdkafka before 2.6.1 says its own part twice, and Kafka takes that.
        let own = self.nonce.get(..self.own);
        let twice = shown.strip_suffix(&*self.nonce).filter(|before| Some(*before) == own);
        if shown != self.nonce && twice.is_none() {
            return Err(Bad::OtherNonce);
        }
        extensions(parts)?.for_each(drop);
        let proof = STANDARD.decode(proof).map_err(|_| Bad::Form)?;
        let message = format!("{},{unproven}", self.said).into_bytes();
        Ok(Response { digest, name: self.user, message, proof })
    }
}

/// Our last message: that we know the client's key, too.
pub fn server_final(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}

fn text(message: &[u8]) -> Result<&str, Bad> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Bad::Long);
    }
    let text = std::str::from_utf8(message).map_err(|_| Bad::Form)?;
    if text.contains('\0') { Err(Bad::Form) } else { Ok(text) }
}

/// A name as it is written: `=2C` is a comma, `=3D` an equals sign, and there is no other.
fn name(written: &str) -> Result<String, Bad> {
    let is_plain = !written.is_empty() && written.len() <= PART_BYTES_MAX;
    let mut pieces = written.split('=');
    let mut name = pieces.next().filter(|_| is_plain).ok_or(Bad::Form)?.to_owned();
    for piece in pieces {
        let (sign, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return Err(Bad::Form),
        };
        name.push(sign);
        name.push_str(rest);
    }
    Ok(name)
}

fn nonce(nonce: Option<&str>) -> Result<&str, Bad> {
    let is_printable = |nonce: &&str| nonce.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = |nonce: &&str| !nonce.is_empty() && nonce.len() <= PART_BYTES_MAX;
    nonce.filter(fits).filter(is_printable).ok_or(Bad::Form)
}

/// What a client says beyond what is needed: a letter or a word, an equals sign, a value.
fn extensions<'a>(
    parts: impl Iterator<Item = &'a str> + Clone,
) -> Result<impl Iterator<Item = &'a str>, Bad> {
    let is_one = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic());
            !name.is_empty() && is_name && !value.is_empty()
        })
    };
    let fits = parts.clone().count() <= EXTENSIONS_MAX && parts.clone().all(is_one);
    if fits { Ok(parts) } else { Err(Bad::Form) }
}
