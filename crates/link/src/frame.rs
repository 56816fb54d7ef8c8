//! The frames between the processes: length (u32, little endian), then what it is, then the rest.
//! Written whole, read whole, never larger than `FRAME_BYTES_MAX`.

use crate::call::{Call, CallNumber, Notice, Place, Who};
use crate::wire::bounds::FRAME_BYTES_MAX;
use crate::wire::{Coded, Context, Input, Malformed, coded_enum};
use bytes::{Buf, Bytes, BytesMut};
use hub::branch::News;
use port::Refusal;

/// Bytes before the frame itself.
const LENGTH_BYTES: usize = 4;

/// From a worker to the owner.
pub enum ToOwner {
    /// First of all: the secret that the owner gave the worker when it started it, and which of
    /// the workers it is.
    Hello {
        secret: Bytes,
        index: u16,
    },
    Call {
        number: CallNumber,
        call: Box<Call>,
    },
    /// Nobody waits for the answer any more.
    Cancel(CallNumber),
    Notice(Notice),
    Answer {
        number: CallNumber,
        answer: String,
    },
}

/// From the owner to a worker.
pub enum ToWorker {
    Welcome,
    Answer {
        number: CallNumber,
        answer: Result<Bytes, Refusal>,
    },
    News(News),
    /// End the connection, for this reason.
    Close {
        place: Place,
        why: Refusal,
    },
    /// The rate of somebody is used up for as long as the refusal says.
    Exhausted {
        who: Who,
        why: Refusal,
    },
    /// Answer with your figures.
    Figures(CallNumber),
    /// Log this from now on.
    Log(String),
    /// Let nobody in any more, end when everybody is gone.
    Drain,
}

/// An answer is opaque here: whoever asked knows what it is.
struct Raw(Bytes);

impl Coded for Raw {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn take(input: &mut Input) -> Result<Raw, Malformed> {
        Ok(Raw(input.rest()))
    }
}

coded_enum!(ToOwner {
    0 => Hello { secret, index },
    1 => Call { number, call },
    2 => Cancel(number),
    3 => Notice(notice),
    4 => Answer { number, answer },
});

impl Coded for ToWorker {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ToWorker::Welcome => out.push(0),
            ToWorker::Answer { number, answer } => {
                out.push(1);
                number.put(out);
                match answer {
                    Ok(bytes) => {
                        out.push(0);
                        Raw(bytes.clone()).put(out);
                    }
                    Err(refusal) => {
                        out.push(1);
                        refusal.put(out);
                    }
                }
            }
            ToWorker::News(news) => {
                out.push(2);
                news.put(out);
            }
            ToWorker::Close { place, why } => {
                out.push(3);
                place.put(out);
                why.put(out);
            }
            ToWorker::Figures(number) => {
                out.push(4);
                number.put(out);
            }
            ToWorker::Log(directives) => {
                out.push(5);
                directives.put(out);
            }
            ToWorker::Drain => out.push(6),
            ToWorker::Exhausted { who, why } => {
                out.push(7);
                who.put(out);
                why.put(out);
            }
        }
    }

    fn take(input: &mut Input) -> Result<ToWorker, Malformed> {
        Ok(match input.byte()? {
            0 => ToWorker::Welcome,
            1 => {
                let number = Coded::take(input)?;
                let answer = match input.byte()? {
                    0 => Ok(Raw::take(input)?.0),
                    1 => Err(Coded::take(input)?),
                    _ => return Err(Malformed("neither an answer nor a refusal")),
                };
                ToWorker::Answer { number, answer }
            }
            2 => ToWorker::News(Coded::take(input)?),
            3 => ToWorker::Close { place: Coded::take(input)?, why: Coded::take(input)? },
            4 => ToWorker::Figures(Coded::take(input)?),
            5 => ToWorker::Log(Coded::take(input)?),
            6 => ToWorker::Drain,
            7 => ToWorker::Exhausted { who: Coded::take(input)?, why: Coded::take(input)? },
            _ => return Err(Malformed("no such frame")),
        })
    }
}

/// The frame as it goes out; `None` when it would be larger than the other end takes.
pub fn frame(content: &impl Coded) -> Option<Bytes> {
    let mut out = vec![0; LENGTH_BYTES];
    content.put(&mut out);
    let length = out.len() - LENGTH_BYTES;
    if length > FRAME_BYTES_MAX {
        return None;
    }
    out[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Some(Bytes::from(out))
}

/// Takes the next whole frame out of what has come; `None` when more bytes are needed.
///
/// # Errors
/// When it is longer than any frame, or not one.
pub fn next<T: Coded>(input: &mut BytesMut, context: &Context) -> Result<Option<T>, Malformed> {
    let Some(prefix) = input.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(Malformed("longer than any frame"));
    }
    if input.len() < LENGTH_BYTES + length {
        input.reserve(LENGTH_BYTES + length - input.len());
        return Ok(None);
    }
    input.advance(LENGTH_BYTES);
    let bytes = input.split_to(length).freeze();
    crate::wire::decode(bytes, context).map(Some)
}
