//! `refresh`: a new credential for the open connection, of the same tenant and project, so that
//! short-lived tokens do not cut long-lived connections. A refusal leaves the old one in force.

use crate::frame::{CallId, Frame, Say};
use crate::session::{Access, FrameCodec, Out, WebSocketSession};
use port::{Code, Credential, Flow, Identity, Refusal, Wait};
use std::sync::Arc;

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    credential: Credential,
) -> Flow {
    if let Err(refusal) = session.proven() {
        return session.refuse(out, id, refusal);
    }
    let (hub, peer) = (Arc::clone(&session.hub), session.peer.clone());
    let work = async move { hub.authenticate(&peer, &credential).await };
    session.defer(out, Wait::Barrier, work, move |session, out, outcome| {
        match outcome.and_then(|identity| renew(session, identity)) {
            Ok(()) => out.send(Frame::Said(Say::Refreshed { id })),
            // Not `refuse`: the credential in force is not the one that was refused.
            Err(refusal) => session.say_error(out, Some(id), refusal),
        }
        Flow::Continue
    });
    Flow::Continue
}

fn renew<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    renewed: Identity,
) -> Result<(), Refusal> {
    let (identity, lease) = session.proven()?;
    if (renewed.tenant(), renewed.project()) != (identity.tenant(), identity.project()) {
        return Err(Refusal::new(Code::AddressForbidden, "the credential is of another project")
            .field("token")
            .hint("connect again to change the project"));
    }
    let lease = Arc::clone(lease);
    session.hub.renew(&renewed, &lease)?;
    session.access = Access::Open { identity: renewed, lease };
    Ok(())
}
