//! A key frame: the wrapped data key of one tenant, kept in the extent whose frames it seals, as a
//! frame of a stream that no topic has. Frames name their key by its number within the extent.

use super::fields::{Fields, Slots};
use crate::{Frame, StreamId, WRAPPED_BYTES, WrappedKey};
use bytes::Bytes;
use types::{TenantId, TopicId};
use uuid::Uuid;

/// The stream of key frames. Topics' numbers are positive as signed numbers, so none is this.
pub const KEY_STREAM: StreamId = StreamId { topic: TopicId(1 << 63), partition: 0 };

const BODY_BYTES: usize = 16 + 4 + 12 + WRAPPED_BYTES;
/// Bytes a key frame takes on disk.
pub const KEY_FRAME_BYTES: usize = super::frame::HEADER_BYTES + BODY_BYTES;

/// The frame that holds the key with that number; numbers begin at 1.
pub fn frame(number: u64, wrapped: &WrappedKey) -> Frame {
    let mut body = [0; BODY_BYTES];
    let mut slots = Slots(&mut body);
    slots.put(wrapped.tenant.0.as_bytes());
    slots.u32(wrapped.version);
    slots.put(&wrapped.nonce);
    slots.put(&wrapped.bytes);
    Frame {
        tenant: TenantId(Uuid::nil()),
        stream: KEY_STREAM,
        base_offset: number,
        count: 1,
        max_timestamp: 0,
        keys: Box::default(),
        body: Bytes::copy_from_slice(&body),
    }
}

/// `None` when the body is not a wrapped key.
pub fn decode(body: &[u8]) -> Option<WrappedKey> {
    let mut fields = Fields(body);
    let tenant = TenantId(Uuid::from_bytes(fields.bytes()?));
    let wrapped = WrappedKey {
        tenant,
        version: fields.u32()?,
        nonce: fields.bytes()?,
        bytes: fields.bytes()?,
    };
    fields.0.is_empty().then_some(wrapped)
}
