//! Cursors that clients keep: opaque, bound to their project, not to be forged. Layout before
//! base64url: version (1 byte), the positions' own encoding, then the first 12 bytes of
//! HMAC-SHA256 over project and all before. 96 bits are enough where each guess is a request.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use port::{Code, CursorMint, Refusal};
use types::{Positions, ProjectId};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 12;
/// Longer texts are refused before they are decoded.
const CURSOR_TEXT_BYTES_MAX: usize = 128 * 1024;

pub struct CursorSigner(hmac::Key);

impl CursorSigner {
    /// The key is one for HMAC-SHA256.
    pub fn new(key: hmac::Key) -> CursorSigner {
        CursorSigner(key)
    }

    fn tag(&self, project: ProjectId, body: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(project.0.as_bytes());
        context.update(body);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_BYTES]);
        tag
    }

    /// Text that comes back unchanged or not at all. Whoever seals begins the body with a version
    /// that no other kind of text has.
    pub fn seal(&self, project: ProjectId, mut body: Vec<u8>) -> String {
        let tag = self.tag(project, &body);
        body.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(body)
    }

    /// The body of a sealed text; `None` when it is malformed, forged or of another project.
    pub fn unseal(&self, project: ProjectId, text: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let cut = bytes.len().checked_sub(TAG_BYTES)?;
        let (body, tag) = bytes.split_at(cut);
        constant_time::verify_slices_are_equal(&self.tag(project, body), tag).ok()?;
        bytes.truncate(cut);
        Some(bytes)
    }

    /// A cursor of another project fails like a forged one: nothing tells them apart.
    pub fn open(&self, project: ProjectId, text: &str) -> Result<Positions, Refusal> {
        let refused = || {
            Refusal::new(
                Code::InvalidCursor,
                "the cursor is malformed, forged or of another project",
            )
            .field("from")
            .hint("use a cursor of an earlier answer unchanged, or `earliest` or `latest`")
        };
        if text.len() > CURSOR_TEXT_BYTES_MAX {
            return Err(refused());
        }
        let body = self.unseal(project, text).ok_or_else(refused)?;
        match body.split_first() {
            Some((&VERSION, positions)) => Positions::decode(positions).ok_or_else(refused),
            _ => Err(refused()),
        }
    }
}

impl CursorMint for CursorSigner {
    fn mint(&self, project: ProjectId, positions: &Positions) -> String {
        let mut body = Vec::with_capacity(1 + positions.len() * 16 + TAG_BYTES);
        body.push(VERSION);
        positions.encode(&mut body);
        self.seal(project, body)
    }
}
