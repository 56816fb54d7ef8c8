//! What a client settles a delivery with: opaque, bound to project, consumer and delivery, not to
//! be forged. Layout before base64url: version, the consumer's identifier, four LEB128 numbers
//! (generation, partition, offset, deliveries), then the tag, as in cursors.

use crate::cursor::CursorSigner;
use consumers::{Due, Place};
use port::{Code, Refusal};
use tenancy::ConsumerId;
use types::ProjectId;
use types::cursor::{read_varint, write_varint};

/// Other than the versions of cursors, so that neither passes for the other.
const VERSION: u8 = 0x21;
/// Longer texts are refused before they are decoded.
const TOKEN_BYTES_MAX: usize = 160;

/// A delivery as its token names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub consumer: ConsumerId,
    pub generation: u32,
    pub due: Due,
}

impl Token {
    pub fn seal(&self, signer: &CursorSigner, project: ProjectId) -> String {
        let mut body = Vec::with_capacity(48);
        body.push(VERSION);
        body.extend_from_slice(self.consumer.0.as_bytes());
        let Due { place, deliveries } = self.due;
        let numbers = [self.generation.into(), place.partition.into(), place.offset];
        for number in numbers.into_iter().chain([deliveries.into()]) {
            write_varint(&mut body, number);
        }
        signer.seal(project, body)
    }

    /// A token of another project fails like a forged one.
    pub fn open(signer: &CursorSigner, project: ProjectId, text: &str) -> Result<Token, Refusal> {
        let refused = || {
            Refusal::new(
                Code::InvalidRequest,
                "the token is malformed, forged or of another project",
            )
            .field("token")
            .hint("use a token of a fetched delivery unchanged")
        };
        if text.len() > TOKEN_BYTES_MAX {
            return Err(refused());
        }
        let body = signer.unseal(project, text).ok_or_else(refused)?;
        Token::read(&body).ok_or_else(refused)
    }

    fn read(body: &[u8]) -> Option<Token> {
        let rest = body.strip_prefix(&[VERSION])?;
        let (id, mut rest) = rest.split_first_chunk::<16>()?;
        let generation = u32::try_from(read_varint(&mut rest)?).ok()?;
        let partition = u32::try_from(read_varint(&mut rest)?).ok()?;
        let offset = read_varint(&mut rest)?;
        let deliveries = u32::try_from(read_varint(&mut rest)?).ok()?;
        let due = Due { place: Place { partition, offset }, deliveries };
        let consumer = ConsumerId(uuid::Uuid::from_bytes(*id));
        rest.is_empty().then_some(Token { consumer, generation, due })
    }
}
