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
    let (identity, lease) = match session.proven() {
        Ok((identity, lease)) => (identity.clone(), Arc::clone(lease)),
        Err(refusal) => return session.refuse(out, id, refusal),
    };
    let (hub, peer) = (Arc::clone(&session.hub), session.peer.clone());
    let work = async move {
        let renewed = hub.authenticate(&peer, &credential).await?;
        check_same(&renewed, &identity)?;
        hub.renew(&renewed, &lease).await?;
        Ok(Access::Open { identity: renewed, lease })
    };
    session.defer(out, Wait::Barrier, work, move |session, out, outcome| {
        match outcome {
            Ok(access) => {
                session.access = access;
                out.send(Frame::Said(Say::Refreshed { id }));
            }
            // Not `refuse`: the credential in force is not the one that was refused.
            Err(refusal) => session.say_error(out, Some(id), refusal),
        }
        Flow::Continue
    });
    Flow::Continue
}

fn check_same(renewed: &Identity, identity: &Identity) -> Result<(), Refusal> {
    if (renewed.tenant(), renewed.project()) != (identity.tenant(), identity.project()) {
        return Err(Refusal::new(Code::AddressForbidden, "the credential is of another project")
            .field("token")
            .hint("connect again to change the project"));
    }
    Ok(())
}
