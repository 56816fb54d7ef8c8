//! `unsubscribe`: the subscription of a number ends, with its presence. Nothing of it follows the
//! answer.

use crate::frame::{CallId, Frame, Say, SubId};
use crate::session::{FrameCodec, Out, WebSocketSession};
use port::{Code, Flow, Refusal};

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    sub: SubId,
) -> Flow {
    if let Err(refusal) = session.proven() {
        return session.refuse(out, id, refusal);
    }
    if session.subscriptions.remove_all(sub) {
        out.send(Frame::Said(Say::Unsubscribed { id, sub }));
        return Flow::Continue;
    }
    let refusal = Refusal::new(Code::NotFound, format!("there is no subscription {sub}"));
    session.refuse(out, id, refusal.field("sub"))
}
