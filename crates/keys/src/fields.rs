//! Little-endian fields, one after the other, out of bytes that anybody may have written. It must
//! not know what they mean.

/// Reads from the front; `None` once the bytes run out.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// As many bytes as a 16-bit length in front says, at most `len_max`.
    pub(crate) fn short(&mut self, len_max: usize) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        self.slice(len).filter(|bytes| bytes.len() <= len_max)
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A 16-bit length and the bytes; the caller keeps them below 65,536.
pub(crate) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    // Cannot fail: what is put is either fixed or was checked against a maximum below this.
    let len = u16::try_from(bytes.len()).expect("a short field");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}
