//! Delegation tokens (KIP-48): another way in for a key, for a while, without its secret. What is
//! kept of one is who it stands for and until when; its own secret is made from its name by the
//! platform and kept nowhere.
//!
//! ```text
//! prj_0123.key_4567.89ab….cdef…      project, key, a number drawn, and a seal of all three: names
//!                                    that nobody was given cost no work
//! ```

use crate::wire::{Form, Input, Wire, message, read_whole};
use bytes::Bytes;
use port::{Batches, Challenges, Code, Hub, Identity, Peer, Protocol, Refusal, Response, Vouched};
use types::{KeyId, ProjectId, TimestampMs};

/// Where the adapter keeps them.
const SHELF: &str = crate::Kafka::NAME;
/// Behind which come their names.
const PREFIX: &[u8] = b"d\0";
/// Bytes of a seal, before it is written in hexadecimal digits.
const SEAL_BYTES: usize = 8;
/// Locks that share all projects.
const LOCKS: usize = 64;

const FORM: Form = Form { version: 0, is_flexible: true };

// It counts until it expires, and can be renewed until it ends: by the key it stands for and those
// whose ids it names.
message! {
    Token {
        issued_at: i64;
        expires_at: i64;
        ends_at: i64;
        renewers: Vec<String>;
    }
}

/// What a token's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub project: ProjectId,
    pub key: KeyId,
}

/// Changes of a project's tokens come one after the other.
pub struct Locks(Vec<tokio::sync::Mutex<()>>);

impl Default for Locks {
    fn default() -> Locks {
        Locks((0..LOCKS).map(|_| tokio::sync::Mutex::default()).collect())
    }
}

impl Locks {
    pub async fn of(&self, project: ProjectId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let index = project.0.as_u128() % LOCKS as u128;
        match self.0.get(index as usize) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }
}

/// Compared whole, so that the time does not tell where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |found, (a, b)| found | (a ^ b));
    one.len() == other.len() && differing == 0
}

fn seal(challenges: &dyn Challenges, body: &str) -> Option<String> {
    let secret = challenges.token_secret(body)?;
    Some(secret.0.iter().take(SEAL_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

impl Name {
    /// A name that nobody has; `None` where the platform has no secrets for them.
    pub fn draw(challenges: &dyn Challenges, project: ProjectId, key: KeyId) -> Option<Name> {
        let body = format!("{project}.{key}.{}", uuid::Uuid::new_v4().simple());
        let text = format!("{body}.{}", seal(challenges, &body)?);
        Some(Name { text, project, key })
    }

    /// One that was given out, whether it still counts or not.
    pub fn read(challenges: &dyn Challenges, text: &str) -> Option<Name> {
        let (body, shown) = text.rsplit_once('.')?;
        if !is_same(seal(challenges, body)?.as_bytes(), shown.as_bytes()) {
            return None;
        }
        let mut parts = body.split('.');
        let (project, key) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Name { text: text.to_owned(), project, key })
    }
}

impl Token {
    pub fn counts(&self, now: TimestampMs) -> bool {
        now < self.expires_at
    }

    pub fn may_renew(&self, name: &Name, key: KeyId) -> bool {
        name.key == key || self.renewers.contains(&key.to_string())
    }
}

fn entry(name: &str) -> Bytes {
    [PREFIX, name.as_bytes()].concat().into()
}

fn read(value: Bytes) -> Result<Token, Refusal> {
    let token = read_whole(&mut Input::new(value), FORM);
    token.map_err(|bad| Refusal::internal(&format!("what is kept of a token: {bad}")))
}

/// Keeps what tokens are now; `None` forgets one.
///
/// # Errors
/// When it cannot be stored.
pub async fn keep(
    batches: &dyn Batches,
    who: &Identity,
    tokens: Vec<(String, Option<Token>)>,
) -> Result<(), Refusal> {
    let entries = tokens
        .into_iter()
        .map(|(name, token)| (entry(&name), token.map(|token| token.to_bytes(FORM))));
    batches.keep(who, SHELF, entries.collect()).await
}

/// All that are kept of the project, up to `limit`, those that have expired as well.
///
/// # Errors
/// When they cannot be read.
pub async fn all(
    batches: &dyn Batches,
    challenges: &dyn Challenges,
    who: &Identity,
    limit: usize,
) -> Result<Vec<(Name, Token)>, Refusal> {
    let mut found = Vec::new();
    for (key, value) in batches.kept(who, SHELF, PREFIX, None, limit).await? {
        let text = std::str::from_utf8(key.get(PREFIX.len()..).unwrap_or_default());
        let Some(name) = text.ok().and_then(|text| Name::read(challenges, text)) else { continue };
        found.push((name, read(value)?));
    }
    Ok(found)
}

async fn find(batches: &dyn Batches, who: &Identity, name: &str) -> Result<Option<Token>, Refusal> {
    let wanted = entry(name);
    let found = batches.kept(who, SHELF, &wanted, None, 1).await?;
    let value = found.into_iter().find(|(key, _)| *key == wanted).map(|(_, value)| value);
    value.map(read).transpose()
}

/// Lets a client in that has the secret of a token, as the key it stands for, until its end;
/// answers our proof, too.
///
/// # Errors
/// When it has not, or neither token nor key counts any more.
pub async fn sign_in(
    hub: &dyn Hub,
    challenges: &dyn Challenges,
    peer: &Peer,
    (response, now): (&Response, TimestampMs),
) -> Result<(Identity, Vec<u8>), Refusal> {
    let unknown = || Refusal::new(Code::InvalidToken, "the delegation token is not valid");
    let Some(name) = Name::read(challenges, &response.name) else {
        // Judged and noted as names that nobody has are; a key's own secret is no token's either.
        challenges.respond(peer, response).await?;
        return Err(unknown());
    };
    let signature = challenges.respond_by_token(peer, response).await?;
    let batches = hub.batches().ok_or_else(unknown)?;
    let as_key =
        |ends_at| Vouched { name: name.key.to_string(), projects: vec![name.project], ends_at };
    // Whoever has the secret may know how the token stands.
    let who = challenges.vouched(peer, &as_key(TimestampMs::MAX)).await?;
    let token = find(batches, &who, &name.text).await?.ok_or_else(unknown)?;
    if !token.counts(now) {
        return Err(Refusal::new(Code::ExpiredToken, "the delegation token has expired"));
    }
    let who = challenges.vouched(peer, &as_key(token.expires_at)).await?;
    Ok((who, signature))
}
