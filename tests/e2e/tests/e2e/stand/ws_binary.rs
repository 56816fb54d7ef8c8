//! A client of `mainstem.v1.bin`.

use super::binary_frames::{self, Frame};
use super::got::{Got, Sent};
use super::ws::{BINARY, Brought, Socket, bring, dial};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

pub struct Client {
    pub socket: Socket,
}

impl Client {
    pub async fn open(url: &str, secret: &str) -> Client {
        let socket = dial(url, Some(secret), BINARY).await.expect("a socket opens");
        let mut client = Client { socket };
        assert_eq!(client.next().await, Ok(Frame::Connected));
        client
    }

    pub async fn say(&mut self, frame: Vec<u8>) {
        // A socket that is over says so when it is read.
        let _ = self.socket.send(Message::binary(frame)).await;
    }

    pub async fn next(&mut self) -> Result<Frame, Option<u16>> {
        match bring(&mut self.socket).await {
            Brought::Message(bytes) => Ok(binary_frames::read(&bytes)),
            Brought::Closed(code) => Err(code),
        }
    }

    pub async fn publish(&mut self, sent: &[Sent]) {
        self.say(binary_frames::publish(1, sent)).await;
        assert_eq!(self.next().await, Ok(Frame::Published(sent.len() as u64)));
    }

    pub async fn follow(&mut self, filter: &str) {
        self.say(binary_frames::subscribe_earliest(2, 1, filter)).await;
        assert_eq!(self.next().await, Ok(Frame::Subscribed));
    }

    pub async fn record(&mut self) -> Got {
        loop {
            match self.next().await {
                Ok(Frame::Record(got)) => return got,
                Ok(Frame::CaughtUp) => {}
                other => panic!("no record: {other:?}"),
            }
        }
    }
}
