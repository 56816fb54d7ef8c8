//! One frame: a header that names its place and its stream, the key hashes, and the body. Of a
//! sealed frame the body is ciphertext with its tag, and the checksum covers what is on disk: who
//! scans, copies or verifies needs no key. In a plain frame key id and nonce are zero.

use super::fields::{Fields, Slots};
use super::{Seal, VERSION, checksum};
use crate::cipher::{Cipher, NONCE_BYTES, Place, TAG_BYTES};
use crate::{Frame, StreamId};
use std::ops::Range;
use types::{Offset, TimestampMs, TopicId};

const MAGIC: u32 = u32::from_le_bytes(*b"MSFR");
pub const HEADER_BYTES: usize = 96;
const CHECKED_FROM: usize = 4;
/// From here on the header is authenticated with a sealed body: the stream and all that follows.
/// Not what comes before, which names the frame's place among others and may be numbered anew.
const SEALED_FROM: usize = 36;

/// Why bytes are not a whole frame; each is told to an operator as it stands.
pub type Flaw = &'static str;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub generation: u64,
    /// Counts the frames of the extent from 0.
    pub sequence: u64,
    pub stream: StreamId,
    pub base_offset: Offset,
    pub count: u32,
    pub max_timestamp: TimestampMs,
    /// Number of the key within the extent; 0 in a plain frame.
    pub key_id: u64,
    pub nonce: [u8; NONCE_BYTES],
    pub keys_count: u32,
    /// Bytes with header, key hashes and body.
    pub total_bytes: u32,
}

/// With what a frame's body is sealed.
#[derive(Clone, Copy)]
pub struct Cover<'a> {
    pub cipher: &'a Cipher,
    pub key_id: u64,
    /// Never the same twice with one cipher.
    pub nonce: [u8; NONCE_BYTES],
}

/// Bytes a plain frame takes on disk. Saturates, so that an absurd one is seen as too large.
pub fn total_bytes(frame: &Frame) -> usize {
    let keys = frame.keys.len().saturating_mul(8);
    HEADER_BYTES.saturating_add(keys).saturating_add(frame.body.len())
}

/// Writes the frame to `out`, whose length is exactly `total_bytes`, and `TAG_BYTES` more when it
/// is sealed. False when the cipher refused: then `out` is of no use.
#[must_use]
pub fn encode(
    frame: &Frame,
    seal: Seal,
    sequence: u64,
    cover: Option<Cover<'_>>,
    out: &mut [u8],
) -> bool {
    let total_bytes = out.len() as u32;
    let mut slots = Slots(&mut out[CHECKED_FROM..]);
    slots.u32(MAGIC);
    slots.u16(VERSION);
    slots.u16(HEADER_BYTES as u16);
    slots.u32(0); // Flags, none defined.
    slots.u32(total_bytes);
    slots.u64(seal.generation);
    slots.u64(sequence);
    slots.u64(frame.stream.topic.0);
    slots.u32(frame.stream.partition);
    slots.u32(frame.count);
    slots.u64(frame.base_offset);
    slots.i64(frame.max_timestamp);
    slots.u64(cover.map_or(0, |cover| cover.key_id));
    slots.put(&cover.map_or([0; NONCE_BYTES], |cover| cover.nonce));
    slots.u32(frame.keys.len() as u32);
    slots.u32(0); // Reserved, and aligns what follows.
    frame.keys.iter().for_each(|&key| slots.u64(key));
    let is_sealed = match cover {
        None => {
            slots.put(&frame.body);
            true
        }
        Some(cover) => {
            let (header, body) = out.split_at_mut(HEADER_BYTES + 8 * frame.keys.len());
            let place = Place { nonce: cover.nonce, header: &header[SEALED_FROM..] };
            cover.cipher.seal(&place, &frame.body, body)
        }
    };
    let crc = checksum(seal.salt, &[&out[CHECKED_FROM..]]);
    out[..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
    is_sealed
}

/// Opens the body of a sealed frame that `decode` accepted, where it lies; answers where in the
/// frame that is. `None` when the tag does not fit: then the frame is of no use any more.
pub fn unseal(header: &FrameHeader, frame: &mut [u8], cipher: &Cipher) -> Option<Range<usize>> {
    let start = header.body_start() as usize;
    let (front, sealed) = frame.split_at_mut_checked(start)?;
    let place = Place { nonce: header.nonce, header: front.get(SEALED_FROM..)? };
    cipher.open(&place, sealed).map(|length| start..start + length)
}

/// Gives a frame that `decode` accepted another number in its extent.
pub fn renumber(frame: &mut [u8], salt: u64, sequence: u64) {
    const SEQUENCE_AT: usize = 28;
    if let Some(slot) = frame.get_mut(SEQUENCE_AT..SEQUENCE_AT + 8) {
        slot.copy_from_slice(&sequence.to_le_bytes());
        let crc = checksum(salt, &[&frame[CHECKED_FROM..]]);
        frame[..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The length a header claims, unchecked: a hint where to look after a damaged frame.
pub fn claimed_bytes(bytes: &[u8]) -> Option<u32> {
    let mut fields = Fields(bytes.get(CHECKED_FROM..)?);
    let is_ours = fields.u32()? == MAGIC && fields.u16()? == VERSION;
    fields.u16()?;
    fields.u32()?;
    fields.u32().filter(|claimed| is_ours && *claimed as usize >= HEADER_BYTES)
}

/// Reads and checks the frame that begins the bytes; more may follow it.
pub fn decode(bytes: &[u8], salt: u64) -> Result<FrameHeader, Flaw> {
    let mut fields = Fields(bytes);
    let short = "the frame's header is cut short";
    let crc = fields.u32().ok_or(short)?;
    let header = parse(&mut fields).ok_or(short)??;
    let body = bytes.get(CHECKED_FROM..header.total_bytes as usize);
    let body = body.ok_or("the frame is cut short")?;
    if crc != checksum(salt, &[body]) {
        return Err("the frame's checksum does not fit");
    }
    Ok(header)
}

fn parse(fields: &mut Fields<'_>) -> Option<Result<FrameHeader, Flaw>> {
    if fields.u32()? != MAGIC {
        return Some(Err("there is no frame"));
    }
    if fields.u16()? != VERSION || usize::from(fields.u16()?) != HEADER_BYTES {
        return Some(Err("the frame's version is unknown"));
    }
    fields.u32()?;
    let total_bytes = fields.u32()?;
    let generation = fields.u64()?;
    let sequence = fields.u64()?;
    let topic = TopicId(fields.u64()?);
    let partition = fields.u32()?;
    let header = FrameHeader {
        generation,
        sequence,
        stream: StreamId { topic, partition },
        count: fields.u32()?,
        base_offset: fields.u64()?,
        max_timestamp: fields.i64()?,
        key_id: fields.u64()?,
        nonce: fields.bytes()?,
        keys_count: fields.u32()?,
        total_bytes,
    };
    let tag_bytes = if header.key_id == 0 { 0 } else { TAG_BYTES as u64 };
    if header.body_start() + tag_bytes > u64::from(total_bytes) {
        return Some(Err("the frame is shorter than its own header"));
    }
    Some(Ok(header))
}

impl FrameHeader {
    /// Bytes from the start of the frame to its body.
    pub fn body_start(&self) -> u64 {
        HEADER_BYTES as u64 + 8 * u64::from(self.keys_count)
    }

    /// The key hashes of a frame that `decode` accepted.
    pub fn keys<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = u64> + use<'a> {
        let end = (self.body_start() as usize).min(bytes.len());
        let keys = bytes.get(HEADER_BYTES..end).unwrap_or_default();
        keys.as_chunks::<8>().0.iter().map(|key| u64::from_le_bytes(*key))
    }
}
