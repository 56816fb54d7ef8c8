//! `credit`: a subscription that began with credits may send so many more records.

use crate::frame::{CallId, Frame, Say, SubId};
use crate::session::{FrameCodec, Out, WebSocketSession};
use port::shaping::CREDITS_MAX;
use port::{Code, Flow, Refusal};

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    sub: SubId,
    add: u64,
) -> Flow {
    if let Err(refusal) = session.proven() {
        return session.refuse(out, id, refusal);
    }
    let Some(found) = session.subscriptions.extras(sub) else {
        let refusal = Refusal::new(Code::NotFound, format!("there is no subscription {sub}"));
        return session.refuse(out, id, refusal.field("sub"));
    };
    let Some(credits) = found.and_then(|extras| extras.credits.as_ref()) else {
        let refusal = Refusal::new(Code::Conflict, "the subscription began without credits")
            .field("sub")
            .hint("say `credits` when you subscribe");
        return session.refuse(out, id, refusal);
    };
    match credits.add(add) {
        Some(credits) => {
            out.send(Frame::Said(Say::Credited { id, sub, credits }));
            Flow::Continue
        }
        None => {
            let message = format!("a subscription has at most {CREDITS_MAX} credits");
            let refusal = Refusal::new(Code::InvalidRequest, message).field("add");
            session.refuse(out, id, refusal)
        }
    }
}
