//! What an authenticator says and signs (section 6.1): whose site, who was there, how often it was
//! used, and, when a credential is made, its key. It must not judge any of it.
//!
//! ```text
//! | hash of the site's id: 32 | flags: 1 | count: 4 | [credential] | [extensions: CBOR map] |
//!                             credential = | model: 16 | length: 2 | id | key: CBOR map |
//! ```

use crate::{CREDENTIAL_ID_BYTES_MAX, Rejected, cbor};

const HASH_BYTES: usize = 32;
const MODEL_BYTES: usize = 16;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const MAY_BE_COPIED: u8 = 0x08;
const IS_COPIED: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthenticatorData<'a> {
    pub(crate) party_hash: &'a [u8],
    pub(crate) is_present: bool,
    pub(crate) is_verified: bool,
    /// The credential lives on several devices.
    pub(crate) is_synced: bool,
    /// Signatures made; 0 where the authenticator does not count.
    pub(crate) count: u32,
    pub(crate) credential: Option<NewCredential<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCredential<'a> {
    pub(crate) id: &'a [u8],
    /// As the authenticator wrote it, CBOR.
    pub(crate) key: &'a [u8],
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], Rejected> {
    let (taken, rest) = input.split_at_checked(count).ok_or(Rejected::Malformed)?;
    *input = rest;
    Ok(taken)
}

/// The CBOR value at the front, as its bytes.
fn take_value<'a>(input: &mut &'a [u8]) -> Result<(cbor::Value<'a>, &'a [u8]), Rejected> {
    let (value, rest) = cbor::read(input)?;
    let length = input.len() - rest.len();
    Ok((value, take(input, length)?))
}

impl<'a> AuthenticatorData<'a> {
    pub(crate) fn read(mut input: &'a [u8]) -> Result<AuthenticatorData<'a>, Rejected> {
        let party_hash = take(&mut input, HASH_BYTES)?;
        let [flags, count @ ..] = take(&mut input, 5)? else { return Err(Rejected::Malformed) };
        let count = count.iter().fold(0, |count, digit| count << 8 | u32::from(*digit));
        let has = |flag: u8| flags & flag != 0;
        if has(IS_COPIED) && !has(MAY_BE_COPIED) {
            return Err(Rejected::Flags);
        }
        let credential = match has(HAS_CREDENTIAL) {
            true => Some(NewCredential::read(&mut input)?),
            false => None,
        };
        if has(HAS_EXTENSIONS) {
            let (cbor::Value::Map(_), _) = take_value(&mut input)? else {
                return Err(Rejected::Malformed);
            };
        }
        if !input.is_empty() {
            return Err(Rejected::Malformed);
        }
        Ok(AuthenticatorData {
            party_hash,
            is_present: has(PRESENT),
            is_verified: has(VERIFIED),
            is_synced: has(IS_COPIED),
            count,
            credential,
        })
    }
}

impl<'a> NewCredential<'a> {
    fn read(input: &mut &'a [u8]) -> Result<NewCredential<'a>, Rejected> {
        take(input, MODEL_BYTES)?;
        let length =
            take(input, 2)?.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        if length == 0 || length > CREDENTIAL_ID_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let id = take(input, length)?;
        let (_, key) = take_value(input)?;
        Ok(NewCredential { id, key })
    }
}
