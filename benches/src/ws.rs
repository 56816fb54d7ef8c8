//! The least WebSocket client: counts a server's frames as bytes pass by, keeping a few bytes per
//! connection, so that one process can hold as many as it has file descriptors.

/// What has gone by on one connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub messages: u64,
    pub payload_bytes: u64,
    pub pings: u64,
    pub closes: u64,
}

/// Counts frames in a server's stream, cut anywhere.
#[derive(Debug, Default)]
pub struct Counter {
    head: [u8; 10],
    held: u8,
    /// Payload of the current frame still to come.
    left: u64,
}

impl Counter {
    /// Takes the next bytes of the stream.
    pub fn take(&mut self, mut bytes: &[u8], seen: &mut Seen) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skip = self.left.min(bytes.len() as u64);
                self.left -= skip;
                bytes = &bytes[skip as usize..];
                continue;
            }
            self.head[usize::from(self.held)] = bytes[0];
            self.held += 1;
            bytes = &bytes[1..];
            if let Some(length) = self.length() {
                self.held = 0;
                self.left = length;
                self.count(length, seen);
            }
        }
    }

    /// The payload length, once the head is whole.
    fn length(&self) -> Option<u64> {
        if self.held < 2 {
            return None;
        }
        let head = &self.head;
        match (head[1] & 0x7F, self.held) {
            (short @ 0..126, _) => Some(u64::from(short)),
            (126, 4) => Some(u64::from(u16::from_be_bytes([head[2], head[3]]))),
            (127, 10) => {
                let [_, _, length @ ..] = *head;
                Some(u64::from_be_bytes(length))
            }
            _ => None,
        }
    }

    fn count(&self, length: u64, seen: &mut Seen) {
        match self.head[0] & 0x0F {
            0x0..=0x2 => {
                seen.messages += u64::from(self.head[0] & 0x80 != 0);
                seen.payload_bytes += length;
            }
            0x8 => seen.closes += 1,
            0x9 => seen.pings += 1,
            _ => {}
        }
    }
}

/// A client's masked frame; the mask is zero, which hides nothing and is as good for a load.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut stream = vec![0x81, 2, b'h', b'i', 0x89, 0, 0x82, 126, 1, 0];
        stream.extend(vec![7; 256]);
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0x88, 2, 3, 0xE8]);
        let expect = Seen { messages: 3, payload_bytes: 2 + 256 + 1, pings: 1, closes: 1 };
        for size in 1..stream.len() {
            let (mut counter, mut seen) = (Counter::default(), Seen::default());
            stream.chunks(size).for_each(|chunk| counter.take(chunk, &mut seen));
            assert_eq!(seen, expect, "in pieces of {size}");
        }
    }
}
