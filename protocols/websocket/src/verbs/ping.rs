//! `ping`: is anybody there. Allowed to strangers; it overtakes waiting records, because a client
//! asks when it fears the connection is dead.

use crate::frame::{CallId, Frame, Say};
use crate::session::{FrameCodec, Out};
use port::Flow;

pub(super) fn apply<C: FrameCodec>(out: &mut Out<C>, id: CallId) -> Flow {
    out.control(Frame::Said(Say::Pong { id }));
    Flow::Continue
}
