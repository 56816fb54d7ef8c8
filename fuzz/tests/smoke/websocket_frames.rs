//! WebSocket frames from clients: no byte makes the reader panic, wait for more than its cap, or
//! see something else when the same bytes come in pieces; and what is said to be compressed
//! inflates to no more than the cap, or not at all.

use edge::framing::{Coding, Deflater, Incoming, Inflater, Reader, Violation};

const MESSAGE_BYTES_MAX: usize = 512;

/// What a reader makes of a stream, as far as it is whole or until it breaks the rules.
fn read(
    coding: Coding,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> (Vec<String>, Option<Violation>) {
    let mut reader = Reader::new(MESSAGE_BYTES_MAX, coding);
    let mut held = Vec::new();
    let mut seen = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match reader.step(&mut held[at..]) {
                Ok(None) => break,
                Ok(Some((taken, incoming))) => {
                    assert!(taken > 0, "a frame takes at least its head");
                    at += taken;
                    seen.push(word(&incoming));
                }
                Err(violation) => return (seen, Some(violation)),
            }
        }
        held.drain(..at);
        assert!(held.len() <= MESSAGE_BYTES_MAX + 14 + piece.len(), "more is held than announced");
    }
    (seen, None)
}

fn word(incoming: &Incoming<'_>) -> String {
    if let Incoming::Message(kind, payload) = incoming {
        assert!(payload.bytes().len() <= MESSAGE_BYTES_MAX);
        return format!("{kind:?} {:?}", payload.bytes());
    }
    format!("{incoming:?}")
}

#[test]
fn frames() {
    bolero::check!().for_each(|input: &[u8]| {
        for coding in [Coding::Plain, Coding::Deflate] {
            let whole = read(coding, &mut std::iter::once(input));
            for size in [1, 3] {
                assert_eq!(read(coding, &mut input.chunks(size)), whole, "in pieces of {size}");
            }
        }
    });
}

#[test]
fn deflated_messages() {
    let (mut deflater, mut inflater) = (Deflater::new(1), Inflater::default());
    bolero::check!().for_each(|input: &[u8]| {
        if let Ok(message) = inflater.inflate(input, MESSAGE_BYTES_MAX) {
            assert!(message.len() <= MESSAGE_BYTES_MAX);
        }
        // Whatever came before, the next message is whole.
        if let Some(deflated) = deflater.deflate(input) {
            assert_eq!(inflater.inflate(deflated, input.len()), Ok(input));
        }
    });
}
