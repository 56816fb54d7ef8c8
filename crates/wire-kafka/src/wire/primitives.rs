//! Numbers, text, bytes and arrays on the wire.

use super::{Form, Input, Malformed, Output, Wire};
use bytes::{BufMut, Bytes};

/// Elements of an array that room is made for before they have been read.
const ROOM_MAX: usize = 64;

/// RFC 9562, as 16 bytes; all zeros is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

macro_rules! numbers {
    ($($kind:ty, $read:ident, $write:ident;)*) => {$(
        impl Wire for $kind {
            fn read(input: &mut Input, _form: Form) -> Result<$kind, Malformed> {
                input.$read()
            }

            fn write(&self, output: &mut Output, _form: Form) {
                output.$write(*self);
            }
        }
    )*};
}

numbers! {
    i8, i8, put_i8;
    i16, i16, put_i16;
    u16, u16, put_u16;
    i32, i32, put_i32;
    i64, i64, put_i64;
    f64, f64, put_f64;
}

impl Wire for bool {
    fn read(input: &mut Input, _form: Form) -> Result<bool, Malformed> {
        Ok(input.i8()? != 0)
    }

    fn write(&self, output: &mut Output, _form: Form) {
        output.put_u8(u8::from(*self));
    }
}

impl Wire for Uuid {
    fn read(input: &mut Input, _form: Form) -> Result<Uuid, Malformed> {
        let bytes = input.take(16)?;
        Ok(Uuid(bytes[..].try_into().map_err(|_| Malformed::Short)?))
    }

    fn write(&self, output: &mut Output, _form: Form) {
        output.put_slice(&self.0);
    }
}

impl Wire for String {
    fn write(&self, output: &mut Output, form: Form) {
        let length = self.len();
        if form.is_flexible {
            write_length(output, Some(length));
        } else {
            // What we say is far shorter; a longer text would be cut, not sent wrongly framed.
            let short = length.min(i16::MAX as usize);
            output.put_i16(short as i16);
            output.put_slice(&self.as_bytes()[..short]);
            return;
        }
        output.put_slice(self.as_bytes());
    }

    fn read_nullable(input: &mut Input, form: Form) -> Result<Option<String>, Malformed> {
        let length =
            input.length(form.is_flexible, |input| input.i16().map(i32::from), "a text")?;
        let Some(length) = length else { return Ok(None) };
        let bytes = input.take(length)?;
        std::str::from_utf8(&bytes).map(|text| Some(text.to_owned())).map_err(|_| Malformed::Text)
    }

    fn write_some(&self, output: &mut Output, form: Form) {
        self.write(output, form);
    }

    fn write_none(output: &mut Output, form: Form) {
        if form.is_flexible { write_length(output, None) } else { output.put_i16(-1) }
    }
}

impl Wire for Bytes {
    fn write(&self, output: &mut Output, form: Form) {
        write_count(output, form, self.len());
        output.put_bytes(self);
    }

    fn read_nullable(input: &mut Input, form: Form) -> Result<Option<Bytes>, Malformed> {
        let length = input.length(form.is_flexible, Input::i32, "bytes")?;
        length.map(|length| input.take(length)).transpose()
    }

    fn write_some(&self, output: &mut Output, form: Form) {
        self.write(output, form);
    }

    fn write_none(output: &mut Output, form: Form) {
        write_no_count(output, form);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, output: &mut Output, form: Form) {
        write_count(output, form, self.len());
        self.iter().for_each(|item| item.write(output, form));
    }

    fn read_nullable(input: &mut Input, form: Form) -> Result<Option<Vec<T>>, Malformed> {
        let Some(count) = input.length(form.is_flexible, Input::i32, "an array")? else {
            return Ok(None);
        };
        // No element takes less than a byte.
        if count > input.left() {
            return Err(Malformed::Short);
        }
        let mut items = Vec::with_capacity(count.min(ROOM_MAX));
        for _ in 0..count {
            items.push(T::read(input, form)?);
        }
        Ok(Some(items))
    }

    fn write_some(&self, output: &mut Output, form: Form) {
        self.write(output, form);
    }

    fn write_none(output: &mut Output, form: Form) {
        write_no_count(output, form);
    }
}

/// Batches of records behind each other, kept as they are until they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records(pub Vec<Bytes>);

impl Wire for Records {
    fn write(&self, output: &mut Output, form: Form) {
        let length = self.0.iter().map(Bytes::len).sum();
        write_count(output, form, length);
        self.0.iter().for_each(|batch| output.put_bytes(batch));
    }

    fn read_nullable(input: &mut Input, form: Form) -> Result<Option<Records>, Malformed> {
        Ok(Bytes::read_nullable(input, form)?.map(|bytes| Records(vec![bytes])))
    }

    fn write_some(&self, output: &mut Output, form: Form) {
        self.write(output, form);
    }

    fn write_none(output: &mut Output, form: Form) {
        write_no_count(output, form);
    }
}

fn write_count(output: &mut Output, form: Form, count: usize) {
    if form.is_flexible {
        write_length(output, Some(count));
    } else {
        output.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }
}

fn write_no_count(output: &mut Output, form: Form) {
    if form.is_flexible { write_length(output, None) } else { output.put_i32(-1) }
}

/// A compact length: one more than it is, so that 0 is absent.
pub fn write_length(output: &mut Output, length: Option<usize>) {
    let length = length.map_or(0, |length| length.saturating_add(1));
    write_unsigned(output, u32::try_from(length).unwrap_or(u32::MAX));
}

pub fn write_unsigned(output: &mut Output, mut value: u32) {
    while value >= 0x80 {
        output.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    output.put_u8(value as u8);
}
