//! Checks that bytes are one JSON value (RFC 8259) within a depth, without building anything and
//! without recursion: values are passed through as bytes on the hot path, in and out. It must not
//! know what the value is for.

/// Deepest nesting that can be asked for: one bit of a word per level.
pub const SCAN_DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON; `at` is the first byte that does not fit.
    Syntax { at: usize },
    /// JSON up to here, but nested too deep.
    TooDeep { at: usize },
}

/// What a value that passed looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// There is white space before, after or inside that breaks the line.
    pub has_line_break: bool,
}

/// Checks one value with white space around it. Strings must be free of control characters and
/// have well-formed escapes; that the bytes are UTF-8 is the caller's to know.
pub fn check(bytes: &[u8], depth_max: usize) -> Result<Shape, Fault> {
    let mut scan = Scan { bytes, at: 0, has_line_break: false };
    scan.document(depth_max.min(SCAN_DEPTH_MAX))?;
    Ok(Shape { has_line_break: scan.has_line_break })
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    has_line_break: bool,
}

impl Scan<'_> {
    fn document(&mut self, depth_max: usize) -> Result<(), Fault> {
        // One bit per open level: 1 is an object, 0 an array; the newest is the lowest.
        let mut levels = 0u64;
        let mut depth = 0usize;
        'value: loop {
            match self.next_token() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == depth_max {
                        return Err(Fault::TooDeep { at: self.at });
                    }
                    self.at += 1;
                    depth += 1;
                    levels = levels << 1 | u64::from(open == b'{');
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.next_token() != Some(close) {
                        if open == b'{' {
                            self.member_name()?;
                        }
                        continue 'value;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(self.fault()),
            }
            // A value has ended, or an empty object or array stands before its closing bracket.
            loop {
                let token = self.next_token();
                if depth == 0 {
                    return if token.is_none() { Ok(()) } else { Err(self.fault()) };
                }
                let is_object = levels & 1 == 1;
                match token {
                    Some(b',') => {
                        self.at += 1;
                        if is_object {
                            self.next_token();
                            self.member_name()?;
                        }
                        continue 'value;
                    }
                    Some(close) if close == if is_object { b'}' } else { b']' } => {
                        self.at += 1;
                        depth -= 1;
                        levels >>= 1;
                    }
                    _ => return Err(self.fault()),
                }
            }
        }
    }

    fn fault(&self) -> Fault {
        Fault::Syntax { at: self.at }
    }

    /// The next byte that is not white space, not consumed.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.has_line_break = true,
                other => return Some(other),
            }
            self.at += 1;
        }
        None
    }

    /// A string and the colon behind it.
    fn member_name(&mut self) -> Result<(), Fault> {
        if self.next_token() != Some(b'"') {
            return Err(self.fault());
        }
        self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.fault());
        }
        self.at += word.len();
        Ok(())
    }

    /// From the opening quote to behind the closing one.
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.skip_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.fault()),
            }
        }
    }

    /// Up to the next quote, backslash or control character: eight bytes at a time for short
    /// strings, and with the machine's widest search for what is longer.
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        const SHORT_WORDS: usize = 4;
        // The lowest high bit set marks the first byte that is zero; above it there may be false
        // marks, which do not matter.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for chunk in rest.as_chunks::<8>().0.iter().take(SHORT_WORDS) {
            let word = u64::from_le_bytes(*chunk);
            let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
            let marks = zero(word ^ (ONES * u64::from(b'"')))
                | zero(word ^ (ONES * u64::from(b'\\')))
                | controls;
            if marks != 0 {
                self.at += (marks.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let plain = rest.get(..end).unwrap_or_default();
        // Without a way out of the loop it is done many bytes at once.
        let has_control = plain.iter().fold(false, |any, &byte| any | (byte < 0x20));
        let control = || plain.iter().position(|&byte| byte < 0x20).unwrap_or(end);
        self.at += if has_control { control() } else { end };
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.fault());
                }
                self.at += 6;
            }
            _ => return Err(self.fault()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.fault());
        }
        self.at += count;
        Ok(())
    }
}
