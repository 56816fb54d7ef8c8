//! WebSocket frames from clients: no byte makes the reader panic, wait for more than its cap, or
//! see something else when the same bytes come in pieces.

use edge::framing::{Incoming, Reader, Violation};

const MESSAGE_BYTES_MAX: usize = 512;

/// What a reader makes of a stream, as far as it is whole or until it breaks the rules.
fn read(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<String>, Option<Violation>) {
    let mut reader = Reader::new(MESSAGE_BYTES_MAX);
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
        let whole = read(&mut std::iter::once(input));
        for size in [1, 3] {
            assert_eq!(read(&mut input.chunks(size)), whole, "in pieces of {size}");
        }
    });
}
