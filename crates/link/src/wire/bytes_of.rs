//! Numbers, text, bytes, lists and options.

use super::bounds::LIST_AHEAD_MAX;
use super::{Coded, Input, Malformed};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use types::cursor::write_varint;

macro_rules! unsigned {
    ($($kind:ty),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                write_varint(out, *self as u64);
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                <$kind>::try_from(input.number()?).map_err(|_| Malformed("too large a number"))
            }
        }
    )* };
}

unsigned!(u8, u16, u32, u64, usize);

impl Coded for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(input: &mut Input) -> Result<i64, Malformed> {
        let bytes = input.bytes(8)?;
        let fixed = <[u8; 8]>::try_from(&bytes[..]).map_err(|_| Malformed("it ends too early"))?;
        Ok(i64::from_le_bytes(fixed))
    }
}

impl Coded for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(input: &mut Input) -> Result<bool, Malformed> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither yes nor no")),
        }
    }
}

impl Coded for () {
    fn put(&self, _: &mut Vec<u8>) {}
    fn take(_: &mut Input) -> Result<(), Malformed> {
        Ok(())
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

impl Coded for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self, out);
    }
    fn take(input: &mut Input) -> Result<Bytes, Malformed> {
        let count = usize::take(input)?;
        input.bytes(count)
    }
}

impl Coded for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut Input) -> Result<String, Malformed> {
        let bytes = Bytes::take(input)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed("not text"))?;
        Ok(text.to_owned())
    }
}

macro_rules! shared_text {
    ($($kind:ty),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                put_bytes(self.as_bytes(), out);
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                let bytes = Bytes::take(input)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| Malformed("not text"))?;
                Ok(text.into())
            }
        }
    )* };
}

shared_text!(Arc<str>, Box<str>);

impl Coded for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_secs().put(out);
        self.subsec_nanos().put(out);
    }
    fn take(input: &mut Input) -> Result<Duration, Malformed> {
        let (seconds, nanos) = (u64::take(input)?, u32::take(input)?);
        match nanos < 1_000_000_000 {
            true => Ok(Duration::new(seconds, nanos)),
            false => Err(Malformed("more than a second of nanoseconds")),
        }
    }
}

impl<T: Coded> Coded for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut Input) -> Result<Option<T>, Malformed> {
        match bool::take(input)? {
            true => T::take(input).map(Some),
            false => Ok(None),
        }
    }
}

fn put_list<T: Coded>(list: &[T], out: &mut Vec<u8>) {
    write_varint(out, list.len() as u64);
    list.iter().for_each(|item| item.put(out));
}

fn take_list<T: Coded>(input: &mut Input) -> Result<Vec<T>, Malformed> {
    let count = usize::take(input)?;
    // Each item takes a byte at least, so no number of them is more than what has come.
    if count > input.remaining() {
        return Err(Malformed("a list longer than its bytes"));
    }
    let mut list = Vec::with_capacity(count.min(LIST_AHEAD_MAX));
    for _ in 0..count {
        list.push(T::take(input)?);
    }
    Ok(list)
}

impl<T: Coded> Coded for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    fn take(input: &mut Input) -> Result<Vec<T>, Malformed> {
        take_list(input)
    }
}

impl<T: Coded> Coded for Box<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    fn take(input: &mut Input) -> Result<Box<[T]>, Malformed> {
        take_list(input).map(Vec::into_boxed_slice)
    }
}

impl<T: Coded> Coded for Arc<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    fn take(input: &mut Input) -> Result<Arc<[T]>, Malformed> {
        take_list(input).map(Arc::from)
    }
}

impl<T: Coded> Coded for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn take(input: &mut Input) -> Result<Box<T>, Malformed> {
        T::take(input).map(Box::new)
    }
}

impl<A: Coded, B: Coded> Coded for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(input: &mut Input) -> Result<(A, B), Malformed> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

impl<A: Coded, B: Coded, C: Coded> Coded for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }
    fn take(input: &mut Input) -> Result<(A, B, C), Malformed> {
        Ok((A::take(input)?, B::take(input)?, C::take(input)?))
    }
}

impl<T: Coded, E: Coded> Coded for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.put(out);
            }
            Err(error) => {
                out.push(1);
                error.put(out);
            }
        }
    }
    fn take(input: &mut Input) -> Result<Self, Malformed> {
        match input.byte()? {
            0 => T::take(input).map(Ok),
            1 => E::take(input).map(Err),
            _ => Err(Malformed("neither an answer nor a refusal")),
        }
    }
}
