//! Frames between the processes of a node: whatever comes, the decoder answers and sets aside no
//! more than has come.

use bytes::BytesMut;
use link::framing::{Context, ToOwner, ToWorker, next};
use port::CursorMint;
use std::sync::Arc;
use types::{Positions, ProjectId};

struct NoMint;

impl CursorMint for NoMint {
    fn mint(&self, _: ProjectId, _: &Positions) -> String {
        String::new()
    }
}

#[test]
fn link_frames() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let protocols = Arc::new(["websocket", "rest"]);
        let context = Context { mint: Arc::new(NoMint), protocols };
        let mut whole = BytesMut::new();
        whole.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        whole.extend_from_slice(bytes);
        let _ = next::<ToOwner>(&mut whole.clone(), &context);
        let _ = next::<ToWorker>(&mut whole, &context);
        let _ = next::<ToOwner>(&mut BytesMut::from(bytes), &context);
    });
}
