//! As much of HTTP/1.1 as a load needs: the head of an answer, and a body that has a length or
//! comes in chunks (RFC 9112 sections 6 and 7.1).

use memchr::memmem;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Length(usize),
    Chunked,
    /// Neither was said.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Length of the head, the empty line included.
    pub bytes: usize,
    pub body: Body,
}

/// The head of the answer that `input` begins with; `None` when it is not all there.
pub fn head(input: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Err("the head of the answer does not end".to_owned());
        }
        return Ok(None);
    };
    let text = String::from_utf8_lossy(input.get(..end).unwrap_or_default());
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("not an answer of HTTP/1.1: {first}"))?;
    let mut body = Body::Unknown;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|_| "a length that is none".to_owned())?;
            body = Body::Length(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        }
    }
    Ok(Some(Head { status, bytes: end + 4, body }))
}

/// The whole body behind a head: its bytes, and how many of `input` they took.
pub fn body(kind: Body, input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    match kind {
        Body::Length(length) => Ok(input.get(..length).map(|body| (body.to_vec(), length))),
        Body::Unknown => Ok(Some((Vec::new(), 0))),
        Body::Chunked => {
            let (mut body, mut taken) = (Vec::new(), 0);
            while let Some((from, to, next)) = chunk(input.get(taken..).unwrap_or_default())? {
                body.extend_from_slice(input.get(taken + from..taken + to).unwrap_or_default());
                taken += next;
                if from == to {
                    return Ok(Some((body, taken)));
                }
            }
            Ok(None)
        }
    }
}

/// The chunk at the beginning: where its bytes begin and end, and where the next begins. The last
/// one is empty.
pub fn chunk(input: &[u8]) -> Result<Option<(usize, usize, usize)>, String> {
    let Some(line) = memmem::find(input, b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(input.get(..line).unwrap_or_default());
    let digits = text.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(digits, 16).map_err(|_| format!("no chunk: {digits}"))?;
    if size > CHUNK_BYTES_MAX {
        return Err("a chunk is too large".to_owned());
    }
    let (from, to) = (line + 2, line + 2 + size);
    Ok((input.len() >= to + 2).then_some((from, to, to + 2)))
}
