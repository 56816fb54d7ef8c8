//! Bytes of one frame and how far they are read. Parts that are taken out share the frame's memory.

use super::Malformed;
use bytes::{Buf, Bytes};

/// Tagged fields one structure may carry; known ones are a handful.
const TAGS_MAX: u32 = 1_000;

#[derive(Debug, Clone)]
pub struct Input(Bytes);

macro_rules! numbers {
    ($($name:ident: $kind:ty = $get:ident;)*) => {$(
        pub fn $name(&mut self) -> Result<$kind, Malformed> {
            self.0.$get().map_err(|_| Malformed::Short)
        }
    )*};
}

impl Input {
    pub fn new(bytes: Bytes) -> Input {
        Input(bytes)
    }

    numbers! {
        i8: i8 = try_get_i8;
        i16: i16 = try_get_i16;
        u16: u16 = try_get_u16;
        i32: i32 = try_get_i32;
        i64: i64 = try_get_i64;
        f64: f64 = try_get_f64;
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    pub fn take(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.0.len() {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(count))
    }

    /// All that is left.
    pub fn rest(self) -> Bytes {
        self.0
    }

    /// A number of at most 32 bits in groups of seven, the lowest first.
    pub fn unsigned(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.0.try_get_u8().map_err(|_| Malformed::Short)?;
            let bits = u32::from(byte & 0x7F);
            if shift == 28 && bits > 0x0F {
                return Err(Malformed::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }

    /// The length of text or bytes, or the count of an array; `None` is absent. `wide` is the
    /// length in messages that are not flexible.
    pub fn length(
        &mut self,
        is_flexible: bool,
        wide: impl FnOnce(&mut Input) -> Result<i32, Malformed>,
        what: &'static str,
    ) -> Result<Option<usize>, Malformed> {
        if is_flexible {
            let length = self.unsigned()?;
            return Ok(length.checked_sub(1).map(|length| length as usize));
        }
        match wide(self)? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Malformed::Length(what)),
        }
    }

    /// The tagged fields at the end of a structure; what `known` does not know is passed over.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Input) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let count = self.unsigned()?;
        if count > TAGS_MAX {
            return Err(Malformed::Length("the list of tagged fields"));
        }
        for _ in 0..count {
            let tag = self.unsigned()?;
            let size = self.unsigned()? as usize;
            known(tag, &mut Input(self.take(size)?))?;
        }
        Ok(())
    }
}
