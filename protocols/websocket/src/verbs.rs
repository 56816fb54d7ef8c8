//! One command per file: check, apply, answer. This file is only the choice between them.

pub(crate) mod connect;
mod credit;
mod ping;
mod presence;
mod publish;
mod refresh;
mod subscribe;
mod unsubscribe;

use crate::frame::{Call, Verb};
use crate::session::{FrameCodec, Out, WebSocketSession};
use port::Flow;

pub(crate) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    call: Call,
) -> Flow {
    let Call { id, traceparent, verb } = call;
    // What presents a credential is counted where it is proven.
    let is_proving = matches!(verb, Verb::Connect(_) | Verb::Refresh(_));
    if !is_proving && let Err(refusal) = session.count_request() {
        return session.refuse(out, id, refusal);
    }
    match verb {
        Verb::Publish(records) => publish::apply(session, out, id, traceparent, records),
        Verb::Ping => ping::apply(out, id),
        Verb::Subscribe(subscribe) => subscribe::apply(session, out, id, subscribe),
        Verb::Unsubscribe(sub) => unsubscribe::apply(session, out, id, sub),
        Verb::Credit { sub, add } => credit::apply(session, out, id, sub, add),
        Verb::Presence(presence) => presence::apply(session, out, id, presence),
        Verb::Connect(credential) => connect::apply(session, out, id, credential),
        Verb::Refresh(credential) => refresh::apply(session, out, id, credential),
    }
}
