//! The part of CBOR (RFC 8949) that CTAP2 authenticators write: definite lengths, no tags, no
//! floating point. Borrows from its input, so a hostile length allocates nothing; depth and number
//! of items are bounded. It must not know what a value means.

use crate::Rejected;

/// Levels of arrays and maps inside each other; an attestation object has three.
const DEPTH_MAX: usize = 6;
/// Items of a whole text, inner ones included.
const ITEMS_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Value<'a>>),
    /// In the order of the text; no key comes twice.
    Map(Vec<(Value<'a>, Value<'a>)>),
    Boolean(bool),
    Null,
}

impl<'a> Value<'a> {
    /// What a map holds under this number.
    pub(crate) fn at(&self, key: i64) -> Option<&Value<'a>> {
        self.find(&Value::Integer(key))
    }

    /// What a map holds under this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Value<'a>> {
        self.find(&Value::Text(name))
    }

    fn find(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        let Value::Map(entries) = self else { return None };
        entries.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The first value of the input, and what follows it.
pub(crate) fn read(input: &[u8]) -> Result<(Value<'_>, &[u8]), Rejected> {
    let mut reader = Reader { rest: input, items: 0 };
    let value = reader.value(0)?;
    Ok((value, reader.rest))
}

/// The one value that the input is.
pub(crate) fn read_whole(input: &[u8]) -> Result<Value<'_>, Rejected> {
    match read(input)? {
        (value, []) => Ok(value),
        _ => Err(Rejected::Malformed),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    items: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Rejected> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Rejected::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The number that follows an initial byte (section 3).
    fn number(&mut self, low: u8) -> Result<u64, Rejected> {
        let size = match low {
            0..=23 => return Ok(u64::from(low)),
            24..=27 => 1 << (low - 24),
            // Reserved, or of indefinite length.
            _ => return Err(Rejected::Malformed),
        };
        let digits = self.take(size)?;
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    fn length(&mut self, low: u8) -> Result<usize, Rejected> {
        usize::try_from(self.number(low)?).map_err(|_| Rejected::Malformed)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Rejected> {
        self.items += 1;
        if depth > DEPTH_MAX || self.items > ITEMS_MAX {
            return Err(Rejected::Malformed);
        }
        let [initial] = *self.take(1)? else { return Err(Rejected::Malformed) };
        let (major, low) = (initial >> 5, initial & 0x1f);
        Ok(match major {
            0 => Value::Integer(signed(self.number(low)?)?),
            1 => Value::Integer(-1 - signed(self.number(low)?)?),
            2 => {
                let length = self.length(low)?;
                Value::Bytes(self.take(length)?)
            }
            3 => {
                let length = self.length(low)?;
                let text = std::str::from_utf8(self.take(length)?);
                Value::Text(text.map_err(|_| Rejected::Malformed)?)
            }
            4 => self.array(low, depth)?,
            5 => self.map(low, depth)?,
            7 => match low {
                20 => Value::Boolean(false),
                21 => Value::Boolean(true),
                22 => Value::Null,
                _ => return Err(Rejected::Malformed),
            },
            // Tags: no authenticator writes them.
            _ => return Err(Rejected::Malformed),
        })
    }

    /// Grows as items are read, so that a length alone costs nothing.
    fn array(&mut self, low: u8, depth: usize) -> Result<Value<'a>, Rejected> {
        let length = self.length(low)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, low: u8, depth: usize) -> Result<Value<'a>, Rejected> {
        let length = self.length(low)?;
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for _ in 0..length {
            let key = self.value(depth + 1)?;
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(Rejected::Malformed);
            }
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Value::Map(entries))
    }
}

fn signed(number: u64) -> Result<i64, Rejected> {
    i64::try_from(number).map_err(|_| Rejected::Malformed)
}
