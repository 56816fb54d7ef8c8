//! The bytes on disk, pure: no IO, and nothing that a file holds can make these functions panic.
//!
//! ```text
//! extent   | header block | commit | commit | ... | footer | trailer block |
//! commit   | commit header, 64 B | frame | frame | ... | zeros to 4 KiB |
//! frame    | frame header, 96 B | key hashes, 8 B each | body | tag, 16 B, when it is sealed |
//! footer   | directory: 64 B a stream | per stream: entries, 28 B each; keys, 16 B each; fences |
//! ```
//!
//! All numbers are little endian. Every checksum is CRC-32C and begins with the extent's salt, a
//! random number that never leaves the disk: a body that imitates a header can not fit it. The
//! generation rises each time a file is used anew, so that what the last user left is recognised
//! as the end of the data, not as data.

pub mod commit;
mod fields;
pub mod footer;
pub mod frame;
pub mod header;
pub mod key;
pub mod lineage;
pub mod trailer;

/// Everything but frames begins on a multiple of this; no block is written twice while it holds
/// acknowledged bytes.
pub const BLOCK_BYTES: usize = 4096;

/// Version of all layouts in this file.
pub const VERSION: u16 = 1;

/// The extent's identity, which every checksum and header inside repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    pub generation: u64,
    pub salt: u64,
}

pub fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES as u64)
}

/// CRC-32C over the salt and the parts.
pub fn checksum(salt: u64, parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&salt.to_le_bytes());
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize() as u32
}
