//! Batches as clients compress them.

use bytes::{BufMut, BytesMut};
use types::Batch;
use types::batch::{BATCH_HEADER_BYTES, Packing};

/// The batch with its records as this codec packs them.
pub fn packed(batch: &Batch, packing: Packing) -> Batch {
    let (head, records) = batch.bytes().split_at(BATCH_HEADER_BYTES);
    let mut bytes = BytesMut::from(head);
    bytes.extend_from_slice(&packing::pack(packing, records).expect("memory"));
    let rest = bytes.len() as i32 - 12;
    (&mut bytes[8..12]).put_i32(rest);
    bytes[22] |= match packing {
        Packing::Gzip => 1,
        Packing::Snappy => 2,
        Packing::Lz4 => 3,
        Packing::Zstd => 4,
    };
    let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
    (&mut bytes[17..21]).put_u32(checksum);
    Batch::parse(bytes.freeze()).expect("a whole batch")
}
