//! What keeps a backup's own files private and whole: one secret of the installation gives a key
//! for manifests' codes and one for each sealed file. The log's frames are sealed by their tenants'
//! keys, which no backup holds; this is for what is around them. Nothing here does IO.
//!
//! ```text
//! sealed file | "MSBSEAL1" | chunk | chunk | ... | last chunk |
//! chunk       | up to 1 MiB, AES-256-GCM | tag, 16 B |    nonce: number of the chunk, is it last
//! ```
//! Each file has a key of its own (HKDF over backup and name), so counting nonces never repeat.

use crate::BackupError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};

pub const SECRET_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"MSBSEAL1";
/// Plaintext of one chunk.
pub const CHUNK_BYTES: usize = 1 << 20;
const TAG_BYTES: usize = 16;

/// The installation's secret for backups.
#[derive(Clone)]
pub struct BackupKey {
    prk: hkdf::Prk,
    mac: hmac::Key,
    fingerprint: String,
}

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupKey({})", self.fingerprint)
    }
}

impl BackupKey {
    pub fn new(secret: &[u8; SECRET_BYTES]) -> BackupKey {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mainstem backup v1").extract(secret);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &expand(&prk, &[b"manifest"]));
        let print = expand(&prk, &[b"fingerprint"]);
        let fingerprint = hexadecimal(print.get(..8).unwrap_or_default());
        BackupKey { prk, mac, fingerprint }
    }

    /// Names the key without telling anything of it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub fn sign(&self, bytes: &[u8]) -> String {
        hexadecimal(hmac::sign(&self.mac, bytes).as_ref())
    }

    /// In constant time.
    pub fn is_signed(&self, bytes: &[u8], code: &str) -> bool {
        bytes_of(code).is_some_and(|code| hmac::verify(&self.mac, bytes, &code).is_ok())
    }

    fn of_file(&self, backup: &str, name: &str) -> LessSafeKey {
        let key = expand(&self.prk, &[b"file\0", backup.as_bytes(), b"\0", name.as_bytes()]);
        // The key has the length the algorithm asks for.
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("AES-256 takes 32 bytes"))
    }
}

fn expand(prk: &hkdf::Prk, info: &[&[u8]]) -> [u8; SECRET_BYTES] {
    let mut key = [0; SECRET_BYTES];
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        // HKDF fails only for outputs beyond 255 hashes; this one is a single hash.
        .expect("one hash of key material is within HKDF's limit");
    key
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    Last,
}

fn nonce(number: u64, place: Place) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8] = u8::from(place == Place::Last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals a file as it is written: bytes in, sealed bytes out.
pub struct Sealing {
    key: LessSafeKey,
    number: u64,
    waiting: Vec<u8>,
    is_begun: bool,
}

impl Sealing {
    pub fn new(key: &BackupKey, backup: &str, name: &str) -> Sealing {
        let key = key.of_file(backup, name);
        Sealing { key, number: 0, waiting: Vec::new(), is_begun: false }
    }

    /// The sealed bytes that this completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.waiting.extend_from_slice(bytes);
        let mut out = self.begin();
        // A chunk is only sealed when something follows it: the last one is marked.
        while self.waiting.len() > CHUNK_BYTES {
            let rest = self.waiting.split_off(CHUNK_BYTES);
            let chunk = std::mem::replace(&mut self.waiting, rest);
            self.seal(chunk, Place::Within, &mut out);
        }
        out
    }

    pub fn finish(mut self) -> Vec<u8> {
        let mut out = self.begin();
        let chunk = std::mem::take(&mut self.waiting);
        self.seal(chunk, Place::Last, &mut out);
        out
    }

    fn begin(&mut self) -> Vec<u8> {
        if std::mem::replace(&mut self.is_begun, true) { Vec::new() } else { MAGIC.to_vec() }
    }

    fn seal(&mut self, mut chunk: Vec<u8>, place: Place, out: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(nonce(self.number, place), Aad::empty(), &mut chunk)
            // GCM fails only for messages of 64 GiB and more.
            .expect("a chunk is shorter than GCM's limit");
        self.number += 1;
        out.append(&mut chunk);
    }
}

/// Opens a sealed file as it is read.
pub struct Opening {
    key: LessSafeKey,
    name: String,
    number: u64,
    waiting: Vec<u8>,
    is_begun: bool,
}

impl Opening {
    pub fn new(key: &BackupKey, backup: &str, name: &str) -> Opening {
        let key = key.of_file(backup, name);
        Opening { key, name: name.to_owned(), number: 0, waiting: Vec::new(), is_begun: false }
    }

    fn refused(&self) -> BackupError {
        BackupError::refused(
            format!("{} was changed, cut short or sealed with another key", self.name),
            "use the secret.key of the installation that made the backup, or another backup",
        )
    }

    /// The plaintext that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, BackupError> {
        self.waiting.extend_from_slice(bytes);
        self.begin()?;
        let mut out = Vec::new();
        while self.is_begun && self.waiting.len() > CHUNK_BYTES + TAG_BYTES {
            let rest = self.waiting.split_off(CHUNK_BYTES + TAG_BYTES);
            let chunk = std::mem::replace(&mut self.waiting, rest);
            out.extend(self.open(chunk, Place::Within)?);
        }
        Ok(out)
    }

    pub fn finish(mut self) -> Result<Vec<u8>, BackupError> {
        self.begin()?;
        let chunk = std::mem::take(&mut self.waiting);
        if !self.is_begun { Err(self.refused()) } else { self.open(chunk, Place::Last) }
    }

    fn begin(&mut self) -> Result<(), BackupError> {
        if !self.is_begun && self.waiting.len() >= MAGIC.len() {
            if !self.waiting.starts_with(MAGIC) {
                return Err(self.refused());
            }
            self.waiting.drain(..MAGIC.len());
            self.is_begun = true;
        }
        Ok(())
    }

    fn open(&mut self, mut chunk: Vec<u8>, place: Place) -> Result<Vec<u8>, BackupError> {
        let opened = self.key.open_in_place(nonce(self.number, place), Aad::empty(), &mut chunk);
        let len = opened.map(|plain| plain.len()).map_err(|_| self.refused())?;
        self.number += 1;
        chunk.truncate(len);
        Ok(chunk)
    }
}
