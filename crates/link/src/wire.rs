//! How values cross between the processes of one node: field after field, numbers as LEB128, bytes
//! with their length before them. Both ends are the same binary, so there are no versions here;
//! what is decoded is bounded by its frame all the same, and nothing in it makes the reader panic
//! or set aside more than has come.

pub mod bounds;
mod bytes_of;
mod of_consumers;
mod of_news;
mod of_port;
mod of_types;

use bytes::Bytes;
use port::CursorMint;
use std::sync::Arc;

/// The bytes are not what the other end writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// What a reader needs beside the bytes.
#[derive(Clone)]
pub struct Context {
    /// Makes the cursors of records that come across.
    pub mint: Arc<dyn CursorMint>,
    /// Names of the protocols of this binary.
    pub protocols: Arc<[&'static str]>,
}

/// What has come, and how far it is read.
pub struct Input {
    bytes: Bytes,
    pub context: Context,
}

pub trait Coded: Sized {
    fn put(&self, out: &mut Vec<u8>);
    /// # Errors
    /// When the bytes are not what `put` writes.
    fn take(input: &mut Input) -> Result<Self, Malformed>;
}

/// The value alone.
pub fn encode(value: &impl Coded) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// The value and nothing behind it.
pub fn decode<T: Coded>(bytes: Bytes, context: &Context) -> Result<T, Malformed> {
    let mut input = Input { bytes, context: context.clone() };
    let value = T::take(&mut input)?;
    match input.bytes.is_empty() {
        true => Ok(value),
        false => Err(Malformed("bytes behind the value")),
    }
}

impl Input {
    /// The next bytes, shared with the frame.
    pub fn bytes(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.bytes.len() {
            return Err(Malformed("it ends too early"));
        }
        Ok(self.bytes.split_to(count))
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let first = self.bytes.first().copied().ok_or(Malformed("it ends too early"))?;
        let _ = self.bytes.split_to(1);
        Ok(first)
    }

    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut rest = &self.bytes[..];
        let value = types::cursor::read_varint(&mut rest).ok_or(Malformed("not a number"))?;
        let used = self.bytes.len() - rest.len();
        let _ = self.bytes.split_to(used);
        Ok(value)
    }
}

/// A struct, all of whose fields cross in order.
macro_rules! coded_struct {
    ($($kind:ident { $($field:ident),* $(,)? })*) => { $(
        impl $crate::wire::Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                let $kind { $($field),* } = self;
                $($field.put(out);)*
            }
            fn take(
                input: &mut $crate::wire::Input,
            ) -> Result<Self, $crate::wire::Malformed> {
                $(let $field = $crate::wire::Coded::take(input)?;)*
                Ok($kind { $($field),* })
            }
        }
    )* };
}

/// An enum: one byte says which, then its fields in order.
macro_rules! coded_enum {
    ($kind:ident { $(
        $tag:literal => $variant:ident
            $( ( $($item:ident),* ) )?
            $( { $($field:ident),* } )?
    ),* $(,)? }) => {
        impl $crate::wire::Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($kind::$variant $( ( $($item),* ) )? $( { $($field),* } )? => {
                        out.push($tag);
                        $($($item.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }
            fn take(
                input: &mut $crate::wire::Input,
            ) -> Result<Self, $crate::wire::Malformed> {
                match input.byte()? {
                    $($tag => {
                        $($(let $item = $crate::wire::Coded::take(input)?;)*)?
                        $($(let $field = $crate::wire::Coded::take(input)?;)*)?
                        Ok($kind::$variant $( ( $($item),* ) )? $( { $($field),* } )?)
                    })*
                    _ => Err($crate::wire::Malformed(concat!("no such ", stringify!($kind)))),
                }
            }
        }
    };
}

pub(crate) use {coded_enum, coded_struct};
