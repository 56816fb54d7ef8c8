//! The servers we are measured beside in fan-out, each with a dialect for the load: what a
//! subscriber says to get a topic's records, and how one is published. Written from the protocols'
//! own documents; no client library, so that the load costs the same for all.

mod mqtt;
mod nats;
mod plain;
mod resp;
pub mod servers;
mod socket_io;

use cli::bench::dialects::{self, Settings};
use swarm::ws::WebSocket;
use swarm::{Dialect, Plan};

/// The dialect of a plan; ours are those of `mainstem bench`.
pub fn make(plan: &Plan) -> Result<Box<dyn Dialect>, String> {
    let settings = || -> Result<Settings, String> {
        serde_json::from_value(plan.settings.clone()).map_err(|error| error.to_string())
    };
    match plan.dialect.as_str() {
        "mqtt" => Ok(Box::new(mqtt::Mqtt(settings()?))),
        "nats" => Ok(Box::new(WebSocket(nats::Nats(settings()?)))),
        "plain" => Ok(Box::new(WebSocket(plain::Plain(settings()?)))),
        "resp" => Ok(Box::new(resp::Resp(settings()?))),
        "socket-io" => Ok(Box::new(WebSocket(socket_io::SocketIo(settings()?)))),
        _ => dialects::make(plan),
    }
}

/// The topic of a stream.
fn topic(settings: &Settings, stream: u32) -> String {
    settings.address.replace("{n}", &stream.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli::bench::dialects::Role;
    use swarm::stamp::{Stamp, value};
    use swarm::{Heard, Line};

    fn check(name: &str, role: Role, said: &[u8], deliveries: u64, answered: u32) {
        let settings = Settings {
            host: "h".to_owned(),
            secrets: Vec::new(),
            address: "t{n}".to_owned(),
            role,
        };
        let plan = Plan {
            server: ([127, 0, 0, 1], 1).into(),
            tls_name: None,
            sources: Vec::new(),
            first: 0,
            count: 1,
            streams: 1,
            per_second: 0.0,
            retries_max: 0,
            receive_bytes: 0,
            keeps_cursors: false,
            dialect: name.to_owned(),
            settings: serde_json::to_value(settings).unwrap(),
        };
        let dialect = make(&plan).unwrap();
        for piece in [1, 13, said.len()] {
            let (mut line, mut heard, mut out) = (Line::default(), Heard::default(), Vec::new());
            dialect.begin(&mut line, &mut out);
            let mut waiting = Vec::new();
            for bytes in said.chunks(piece) {
                waiting.extend_from_slice(bytes);
                let taken = dialect.hear(&mut line, &waiting, &mut heard, &mut out).unwrap();
                waiting.drain(..taken);
            }
            assert!(heard.is_ready, "{name} in pieces of {piece}");
            assert_eq!((heard.tally.deliveries, heard.answered), (deliveries, answered), "{name}");
        }
    }

    fn stamped(number: u32) -> String {
        let mut text = Vec::new();
        value(Stamp { due_ns: 5, number }, 30, &mut text);
        String::from_utf8(text).unwrap()
    }

    fn frames(messages: &[String]) -> Vec<u8> {
        let mut said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        for message in messages {
            said.extend_from_slice(&[0x81, message.len() as u8]);
            said.extend_from_slice(message.as_bytes());
        }
        said
    }

    #[test]
    fn every_server_is_understood() {
        let (one, two) = (stamped(0), stamped(1));
        let message = |text: &str| format!("*3\r\n$7\r\nmessage\r\n$2\r\nt0\r\n$30\r\n{text}\r\n");
        let subscribed = "*3\r\n$9\r\nsubscribe\r\n$2\r\nt0\r\n:1\r\n".to_owned();
        let resp = subscribed + &message(&one) + &message(&two);
        check("resp", Role::Follow, resp.as_bytes(), 2, 0);
        check("resp", Role::Publish, b"+PONG\r\n:3\r\n:3\r\n", 0, 2);

        let mut mqtt = vec![0x20, 2, 0, 0, 0x90, 3, 0, 1, 0];
        for text in [&one, &two] {
            mqtt.extend_from_slice(&[0x30, 34, 0, 2, b't', b'0']);
            mqtt.extend_from_slice(text.as_bytes());
        }
        check("mqtt", Role::Follow, &mqtt, 2, 0);

        let long = format!("MSG t0 1 30\r\n{one}\r\nMSG t0 1 30\r\n{two}\r\n");
        let (first, second) = long.split_at(20);
        let nats = ["INFO {}\r\n", "PONG\r\n", first, second].map(str::to_owned);
        check("nats", Role::Follow, &frames(&nats), 2, 0);

        let plain = ["ok".to_owned(), one.clone(), two.clone()];
        check("plain", Role::Follow, &frames(&plain), 2, 0);

        let record = |text: &str| format!("42[\"record\",\"{text}\"]");
        let io = ["0{}".into(), "40{}".into(), "42[\"ok\"]".into(), record(&one), record(&two)];
        check("socket-io", Role::Follow, &frames(&io), 2, 0);
    }
}
