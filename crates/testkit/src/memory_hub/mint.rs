//! Cursors of the memory hub: opaque text, bound to the project, with a keyed check at the end.
//! The check keeps tests honest about forged cursors; it is no cryptography.

use port::{Code, CursorMint, Refusal};
use std::fmt::Write;
use types::{Positions, ProjectId};

const PREFIX: &str = "mc1-";
const SEED: u64 = 0x6d61_696e_7374_656d;

#[derive(Default)]
pub(super) struct Mint;

impl CursorMint for Mint {
    fn mint(&self, project: ProjectId, positions: &Positions) -> String {
        let mut body = Vec::new();
        positions.encode(&mut body);
        let mut text = PREFIX.to_owned();
        for byte in check(project, &body).to_be_bytes().iter().chain(&body) {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        text
    }
}

impl Mint {
    /// What a cursor of this project says.
    pub(super) fn read(&self, project: ProjectId, text: &str) -> Result<Positions, Refusal> {
        decode(project, text).ok_or_else(|| {
            Refusal::new(Code::InvalidCursor, "the cursor is malformed or of another project")
                .field("from")
                .hint("use a cursor as it came with a record")
        })
    }

    /// Several cursors merged.
    pub(super) fn read_all(
        &self,
        project: ProjectId,
        texts: &[String],
    ) -> Result<Positions, Refusal> {
        let mut merged = Positions::default();
        for text in texts {
            merged.merge(&self.read(project, text)?);
        }
        Ok(merged)
    }
}

fn decode(project: ProjectId, text: &str) -> Option<Positions> {
    let digits = text.strip_prefix(PREFIX)?;
    if !digits.is_ascii() || digits.len() % 2 != 0 {
        return None;
    }
    let bytes: Vec<u8> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    let (found, body) = bytes.split_first_chunk::<8>()?;
    if u64::from_be_bytes(*found) != check(project, body) {
        return None;
    }
    Positions::decode(body)
}

/// FNV-1a over a seed, the project and the body.
fn check(project: ProjectId, body: &[u8]) -> u64 {
    project
        .0
        .as_bytes()
        .iter()
        .chain(body)
        .fold(SEED, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
