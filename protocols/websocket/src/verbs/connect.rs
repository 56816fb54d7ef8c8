//! `connect`: a stranger proves who it is, once. A refusal ends the session.

use crate::config::Config;
use crate::frame::{CallId, Frame, Say};
use crate::session::{Access, FrameCodec, Out, WebSocketSession, open};
use port::{Code, Credential, Flow, Identity, Refusal, Wait};
use std::sync::Arc;

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    credential: Credential,
) -> Flow {
    if let Access::Open { .. } = &session.access {
        let refusal = Refusal::new(Code::Conflict, "the connection has its credential")
            .hint("use `refresh` to renew it");
        return session.refuse(out, id, refusal);
    }
    let (hub, peer) = (Arc::clone(&session.hub), session.peer.clone());
    let closer = Arc::clone(&session.closer);
    let work = async move {
        let identity = hub.authenticate(&peer, &credential).await?;
        let access = open(hub.as_ref(), &peer, identity.clone(), closer).await?;
        Ok((identity, access))
    };
    session.defer(out, Wait::Barrier, work, move |session, out, outcome| match outcome {
        Ok((identity, access)) => {
            session.access = access;
            out.send(Frame::Said(connected(Some(id), &identity, &session.config)));
            Flow::Continue
        }
        Err(refusal) => session.end(out, Some(id), refusal),
    });
    Flow::Continue
}

pub(crate) fn connected(id: Option<CallId>, identity: &Identity, config: &Config) -> Say {
    Say::Connected {
        id,
        project: identity.project(),
        principal: identity.principal().clone(),
        keepalive_ms: config.keepalive_ms,
    }
}
