//! The primitive types of the Kafka protocol (the protocol guide, "Protocol Primitive Types"), read
//! and written. No length that a peer states is believed before its bytes are there: what is
//! allocated is bounded by the bytes received. Pure; no input makes it panic.

mod input;
mod layout;
mod output;
mod primitives;

pub use crate::message;
pub use input::Input;
pub use output::Output;
pub use primitives::{Records, Uuid, write_length, write_unsigned};

use bytes::Bytes;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the message ends too early")]
    Short,
    #[error("{0} has no valid length")]
    Length(&'static str),
    #[error("{0} is absent where it must not be")]
    Null(&'static str),
    #[error("text is not UTF-8")]
    Text,
    #[error("a number has too many bytes")]
    Number,
    #[error("there are bytes behind the message")]
    Trailing,
}

/// In which form a message is written: its version, and whether that one is flexible (KIP-482):
/// compact lengths, and tagged fields at the end of each structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub version: i16,
    pub is_flexible: bool,
}

/// A type of the protocol. What may be absent is an `Option` of it.
pub trait Wire: Sized {
    fn read(input: &mut Input, form: Form) -> Result<Self, Malformed> {
        Self::read_nullable(input, form)?.ok_or(Malformed::Null("a value"))
    }

    fn write(&self, output: &mut Output, form: Form);

    fn to_bytes(&self, form: Form) -> Bytes {
        let mut output = Output::default();
        self.write(&mut output, form);
        output.into_bytes()
    }

    /// A structure that may be absent says first whether it is there; other types have a length
    /// that says so.
    fn read_nullable(input: &mut Input, form: Form) -> Result<Option<Self>, Malformed> {
        if input.i8()? < 0 { Ok(None) } else { Self::read(input, form).map(Some) }
    }

    fn write_some(&self, output: &mut Output, form: Form) {
        output.extend_from_slice(&[1]);
        self.write(output, form);
    }

    fn write_none(output: &mut Output, _form: Form) {
        output.extend_from_slice(&[0xFF]);
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read(input: &mut Input, form: Form) -> Result<Option<T>, Malformed> {
        T::read_nullable(input, form)
    }

    fn write(&self, output: &mut Output, form: Form) {
        match self {
            Some(value) => value.write_some(output, form),
            None => T::write_none(output, form),
        }
    }
}

/// What a client asks. What stands behind it is passed over, as Kafka does: librdkafka leaves three
/// bytes behind a Metadata request for all topics.
pub fn read_request<T: Wire>(input: &mut Input, form: Form) -> Result<T, Malformed> {
    T::read(input, form)
}

/// A message as a whole: nothing may stand behind it.
pub fn read_whole<T: Wire>(input: &mut Input, form: Form) -> Result<T, Malformed> {
    let message = T::read(input, form)?;
    if input.left() == 0 { Ok(message) } else { Err(Malformed::Trailing) }
}
