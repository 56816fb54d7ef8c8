//! `presence`: enter, update, leave or list the members at an address. Who entered without a lease
//! leaves with the connection; every action answers the members after it.

use crate::frame::{CallId, Frame, Presence, Say};
use crate::session::{FrameCodec, Out, WebSocketSession};
use port::{Flow, Wait};
use std::sync::Arc;

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    presence: Presence,
) -> Flow {
    let (identity, lease) = match session.proven() {
        Ok((identity, lease)) => (identity.clone(), Arc::clone(lease)),
        Err(refusal) => return session.refuse(out, id, refusal),
    };
    let hub = Arc::clone(&session.hub);
    let work = async move {
        let Presence { topic, key, action, limit } = presence;
        let call = action.call(limit, identity.principal());
        hub.presence(&identity, Some(&*lease), &topic, key.as_ref(), call).await
    };
    session.defer(out, Wait::Pipelined, work, move |session, out, outcome| match outcome {
        Ok(answer) => {
            out.send(Frame::Said(Say::Present { id, answer }));
            Flow::Continue
        }
        Err(refusal) => session.refuse(out, id, refusal),
    });
    Flow::Continue
}
