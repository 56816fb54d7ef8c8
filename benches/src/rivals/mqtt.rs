//! mosquitto: MQTT 3.1.1 over TCP at QoS 0, the only level without an answer per message.

use super::topic;
use cli::bench::dialects::{Role, Settings};
use swarm::{Dialect, Heard, Line, stamp};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

pub struct Mqtt(pub Settings);

impl Dialect for Mqtt {
    fn begin(&self, _line: &mut Line, out: &mut Vec<u8>) {
        // Protocol name and level 4, a clean session, no keepalive, a name given by the server.
        packet(out, CONNECT, &[&[0, 4], b"MQTT", &[4, 2, 0, 0], &[0, 0]]);
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        while let Some((kind, head, body)) = parse(input.get(taken..).unwrap_or_default()) {
            let bytes = input.get(taken + head..taken + head + body).unwrap_or_default();
            taken += head + body;
            match kind & 0xF0 {
                CONNACK if bytes.get(1) != Some(&0) => return Err("not let in".to_owned()),
                CONNACK => match self.0.role {
                    Role::Publish => heard.is_ready = true,
                    Role::Follow => {
                        let topic = topic(&self.0, line.stream);
                        let length = (topic.len() as u16).to_be_bytes();
                        packet(out, SUBSCRIBE, &[&[0, 1], &length, topic.as_bytes(), &[0]]);
                    }
                },
                SUBACK => heard.is_ready = true,
                PUBLISH => {
                    if let Some((stamp, _)) = stamp::find(bytes) {
                        heard.record(line, stamp, None);
                    }
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    fn publish(&self, _line: &mut Line, stream: u32, values: &[Vec<u8>], out: &mut Vec<u8>) {
        let topic = topic(&self.0, stream);
        let length = (topic.len() as u16).to_be_bytes();
        for value in values {
            packet(out, PUBLISH, &[&length, topic.as_bytes(), value]);
        }
    }

    fn answers(&self) -> bool {
        false
    }
}

fn packet(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    let mut left = parts.iter().map(|part| part.len()).sum::<usize>();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        out.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Kind, bytes of the head and of the rest, if all are there.
fn parse(input: &[u8]) -> Option<(u8, usize, usize)> {
    let kind = *input.first()?;
    let mut body = 0;
    for index in 0..4 {
        let digit = *input.get(1 + index)?;
        body |= usize::from(digit & 0x7F) << (7 * index);
        if digit & 0x80 == 0 {
            let head = 2 + index;
            return (input.len() >= head + body).then_some((kind, head, body));
        }
    }
    None
}
