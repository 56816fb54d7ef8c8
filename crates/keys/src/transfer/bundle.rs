//! Bytes of an export: the ring's file and the tables', one after the other, each authenticated by
//! itself. It must not know what is in them.
//!
//! ```text
//! "MSKEYEXP"  format u16  count u32 { length u32  bytes }   the ring first
//! ```

use crate::fields::Fields;
use crate::rewrapped::TABLE_BYTES_MAX;
use crate::start::RING_BYTES_MAX;

const MAGIC: &[u8; 8] = b"MSKEYEXP";
const FORMAT: u16 = 1;
/// The ring and a table per tenant that was ever rotated.
const FILES_MAX: usize = 1 + crate::ring::TENANTS_MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) ring: Vec<u8>,
    pub(crate) tables: Vec<Vec<u8>>,
}

impl Bundle {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let files = std::iter::once(&self.ring).chain(&self.tables);
        let len: usize = files.clone().map(|file| 4 + file.len()).sum();
        let mut out = Vec::with_capacity(14 + len);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        // Cannot be more: both are bounded far below.
        out.extend_from_slice(&(1 + self.tables.len() as u32).to_le_bytes());
        for file in files {
            out.extend_from_slice(&(file.len() as u32).to_le_bytes());
            out.extend_from_slice(file);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Bundle, String> {
        let cut = || "it is cut off or has bytes too many".to_owned();
        let mut fields = Fields(bytes);
        if fields.array() != Some(*MAGIC) {
            return Err("it is not an export of a key ring".to_owned());
        }
        match fields.u16().ok_or_else(cut)? {
            FORMAT => {}
            other => return Err(format!("it is of format {other}, and 1 is the newest known")),
        }
        let count = fields.u32().ok_or_else(cut)? as usize;
        if !(1..=FILES_MAX).contains(&count) {
            return Err("it holds an impossible number of files".to_owned());
        }
        let mut files = Vec::new();
        for _ in 0..count {
            let len = fields.u32().ok_or_else(cut)?;
            if u64::from(len) > RING_BYTES_MAX.max(TABLE_BYTES_MAX) {
                return Err("one of its files is too long".to_owned());
            }
            files.push(fields.slice(len as usize).ok_or_else(cut)?.to_vec());
        }
        if !fields.is_empty() {
            return Err(cut());
        }
        let ring = files.remove(0);
        Ok(Bundle { ring, tables: files })
    }
}
