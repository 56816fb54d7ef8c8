//! From a client's bytes to whole messages: fragments joined under one cap, control frames told
//! apart, text checked. Pure; it holds nothing but the fragments of an unfinished message.

use super::Violation;
use super::frame::{Coding, Head, Opcode, unmask};
use bytes::BytesMut;
use port::mounts::MessageKind;

/// Fragments of one message; only a client that means harm sends so many.
const FRAGMENTS_MAX: u32 = 16 * 1024;

/// What a step found. Payloads borrow the input, except a message that came in fragments.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Message(MessageKind, Payload<'a>),
    /// A message that is to be inflated, and then checked if it is text.
    Deflated(MessageKind, Payload<'a>),
    Ping(&'a [u8]),
    Pong,
    /// The client closes; the code it gave is valid, or it gave none.
    Close(Option<u16>),
    /// A fragment, kept.
    Fragment,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    Whole(&'a [u8]),
    Joined(BytesMut),
}

impl Payload<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Whole(bytes) => bytes,
            Payload::Joined(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
pub struct Reader {
    message_bytes_max: usize,
    coding: Coding,
    /// Boxed, because nearly all connections have no unfinished message nearly all the time.
    unfinished: Option<Box<Unfinished>>,
}

#[derive(Debug)]
struct Unfinished {
    kind: MessageKind,
    is_deflated: bool,
    bytes: BytesMut,
    fragments: u32,
}

impl Reader {
    pub fn new(message_bytes_max: usize, coding: Coding) -> Reader {
        Reader { message_bytes_max, coding, unfinished: None }
    }

    /// Takes one frame from the start of `input`, unmasking it in place: how many bytes it took
    /// and what it was, or `None` when it is not complete (and `input` is untouched).
    pub fn step<'a>(
        &mut self,
        input: &'a mut [u8],
    ) -> Result<Option<(usize, Incoming<'a>)>, Violation> {
        let held = self.unfinished.as_ref().map_or(0, |message| message.bytes.len());
        let left = self.message_bytes_max.saturating_sub(held);
        let Some(head) = Head::parse(input, self.coding, left)? else {
            return Ok(None);
        };
        self.check_order(head)?;
        let end = head.head_bytes.saturating_add(head.payload_bytes);
        let Some(payload) = input.get_mut(head.head_bytes..end) else {
            return Ok(None);
        };
        unmask(payload, head.mask);
        let payload: &'a [u8] = payload;
        let incoming = match head.opcode {
            Opcode::Ping => Incoming::Ping(payload),
            Opcode::Pong => Incoming::Pong,
            Opcode::Close => Incoming::Close(close_code(payload)?),
            Opcode::Text => self.data(MessageKind::Text, head, payload)?,
            Opcode::Binary => self.data(MessageKind::Binary, head, payload)?,
            Opcode::Continuation => self.continuation(head.is_final, payload)?,
        };
        Ok(Some((end, incoming)))
    }

    /// Refused at the head already: a client may not make us wait for what cannot be taken.
    fn check_order(&self, head: Head) -> Result<(), Violation> {
        match (head.opcode, &self.unfinished) {
            (Opcode::Continuation, None) => {
                Err(Violation::Protocol("a continuation continues nothing"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                Err(Violation::Protocol("a message begins inside another"))
            }
            _ => Ok(()),
        }
    }

    fn data<'a>(
        &mut self,
        kind: MessageKind,
        head: Head,
        payload: &'a [u8],
    ) -> Result<Incoming<'a>, Violation> {
        let is_deflated = head.is_deflated;
        if head.is_final {
            return whole(kind, is_deflated, Payload::Whole(payload));
        }
        let bytes = BytesMut::from(payload);
        self.unfinished = Some(Box::new(Unfinished { kind, is_deflated, bytes, fragments: 1 }));
        Ok(Incoming::Fragment)
    }

    fn continuation<'a>(
        &mut self,
        is_final: bool,
        payload: &[u8],
    ) -> Result<Incoming<'a>, Violation> {
        let Some(mut message) = self.unfinished.take() else {
            return Err(Violation::Protocol("a continuation continues nothing"));
        };
        message.bytes.extend_from_slice(payload);
        message.fragments += 1;
        if is_final {
            let payload = Payload::Joined(message.bytes);
            return whole(message.kind, message.is_deflated, payload);
        }
        if message.fragments >= FRAGMENTS_MAX {
            return Err(Violation::TooBig);
        }
        self.unfinished = Some(message);
        Ok(Incoming::Fragment)
    }
}

fn whole(
    kind: MessageKind,
    is_deflated: bool,
    payload: Payload<'_>,
) -> Result<Incoming<'_>, Violation> {
    if is_deflated {
        return Ok(Incoming::Deflated(kind, payload));
    }
    check_text(kind, payload.bytes())?;
    Ok(Incoming::Message(kind, payload))
}

/// Text is UTF-8 (RFC 6455 section 8.1).
pub fn check_text(kind: MessageKind, payload: &[u8]) -> Result<(), Violation> {
    match kind {
        MessageKind::Binary => Ok(()),
        MessageKind::Text => std::str::from_utf8(payload).map(drop).map_err(|_| Violation::Text),
    }
}

/// RFC 6455 section 7.4: which numbers a client may send.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("the close code is not allowed"));
            }
            std::str::from_utf8(reason).map_err(|_| Violation::Text)?;
            Ok(Some(code))
        }
        _ => Err(Violation::Protocol("a close frame has half a code")),
    }
}
