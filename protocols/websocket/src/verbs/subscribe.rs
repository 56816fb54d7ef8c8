//! `subscribe`: follow a filter from a point, and with it, if asked, the presence at the same
//! addresses. The answer comes before the first record.

use crate::frame::{CallId, Frame, PresenceWish, Say, SubId, Subscribe};
use crate::session::{FrameCodec, Out, WebSocketSession};
use crate::subscriptions::{Extras, Kind};
use port::feed::Fed;
use port::shaping::CREDITS_MAX;
use port::{Code, Flow, Follow, Refusal, Subscription, Wait};
use std::sync::Arc;
use types::filter::{KeyPart, Level, TopicPart};
use types::{Filter, From, SubscriptionTag, TopicName};

pub(super) fn apply<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    subscribe: Subscribe,
) -> Flow {
    if !session.has_in_flight() {
        return begin(session, out, id, subscribe);
    }
    // Answers come in order, so records of a subscription begun now would have to wait for the
    // publishes before it. It begins when they are answered.
    let ready = std::future::ready(Ok(()));
    session.defer(out, Wait::Barrier, ready, move |session, out, _| {
        begin(session, out, id, subscribe)
    });
    Flow::Continue
}

/// The subscriptions a request has opened.
struct Opened {
    records: Subscription,
    presence: Option<Subscription>,
}

fn begin<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    subscribe: Subscribe,
) -> Flow {
    let follows = match follows(session, subscribe) {
        Ok(follows) => follows,
        Err(refusal) => return session.refuse(out, id, refusal),
    };
    let identity = match session.proven() {
        Ok((identity, _)) => identity.clone(),
        Err(refusal) => return session.refuse(out, id, refusal),
    };
    let hub = Arc::clone(&session.hub);
    let (shard, sink) = (session.peer.shard, Arc::clone(&session.sink));
    let tags = follows.tags();
    let work = async move {
        let records = hub.follow(&identity, follows.records, shard, Arc::clone(&sink)).await?;
        let presence = match follows.presence {
            Some(follow) => Some(hub.follow(&identity, follow, shard, sink).await?),
            None => None,
        };
        Ok(Opened { records, presence })
    };
    session.defer(out, Wait::Barrier, work, move |session, out, outcome| match outcome {
        Ok(opened) => {
            answer(session, out, id, opened);
            Flow::Continue
        }
        Err(refusal) => {
            for tag in tags.into_iter().flatten() {
                session.subscriptions.remove(tag);
            }
            session.refuse(out, id, refusal)
        }
    });
    Flow::Continue
}

struct Follows {
    records: Follow,
    presence: Option<Follow>,
}

impl Follows {
    fn tags(&self) -> [Option<SubscriptionTag>; 2] {
        [Some(self.records.tag), self.presence.as_ref().map(|follow| follow.tag)]
    }
}

/// Takes the places; nothing fails after that but the hub.
fn follows<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    subscribe: Subscribe,
) -> Result<Follows, Refusal> {
    let connection = Some(session.proven()?.1.id);
    let Subscribe { sub, filter, from, latest, exclude_own, presence, shape } = subscribe;
    check_credits(shape.credits)?;
    let shaping = shape.shaping();
    let subscriptions_max = session.config.subscriptions_max;
    let table = &mut session.subscriptions;
    let tag = table.reserve(sub, Kind::Records, subscriptions_max)?;
    if let (Some(shaping), Some(entry)) = (&shaping, table.get(tag)) {
        let credits = shaping.credits.clone();
        entry.extras = Some(Box::new(Extras { is_batched: shaping.batch.is_some(), credits }));
    }
    let kind = match presence {
        PresenceWish::Nothing => None,
        PresenceWish::Changes => Some(Kind::Presence),
        PresenceWish::Counts => Some(Kind::PresenceCounts),
    };
    let presence = match kind {
        Some(kind) => Some(Follow {
            tag: table.reserve(sub, kind, subscriptions_max)?,
            filter: presence_filter(&filter),
            from: From::Latest,
            latest_first: false,
            exclude_own: false,
            connection,
            shaping: None,
        }),
        None => None,
    };
    let records = Follow {
        tag,
        filter,
        from,
        latest_first: latest.is_on(),
        exclude_own: exclude_own.is_on(),
        connection,
        shaping,
    };
    Ok(Follows { records, presence })
}

fn check_credits(credits: Option<u64>) -> Result<(), Refusal> {
    if credits.is_none_or(|credits| credits <= CREDITS_MAX) {
        return Ok(());
    }
    let message = format!("a subscription has at most {CREDITS_MAX} credits");
    Err(Refusal::new(Code::InvalidRequest, message).field("credits"))
}

/// Changes of presence travel under the key `topic/key` of the presence topic, so a filter of
/// addresses is a filter of those keys.
pub(crate) fn presence_filter(filter: &Filter) -> Filter {
    let first = match &filter.topic {
        TopicPart::Exact(name) => Level::Exact(name.as_str().into()),
        TopicPart::Any => Level::One,
    };
    let key = match (&filter.topic, &filter.key) {
        (TopicPart::Exact(name), KeyPart::Exact(key)) => {
            KeyPart::Exact(format!("{name}/{key}").into())
        }
        (_, KeyPart::All) => KeyPart::Levels { levels: Box::new([first]), rest: true },
        (TopicPart::Any, KeyPart::Exact(key)) => {
            let levels = key.split('/').map(|level| Level::Exact(level.into()));
            let levels = std::iter::once(first).chain(levels).collect();
            KeyPart::Levels { levels, rest: false }
        }
        (_, KeyPart::Levels { levels, rest }) => {
            let levels = std::iter::once(first).chain(levels.iter().cloned()).collect();
            KeyPart::Levels { levels, rest: *rest }
        }
    };
    Filter { topic: TopicPart::Exact(TopicName::presence()), key }
}

fn answer<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    id: CallId,
    opened: Opened,
) {
    let cursor = opened.records.cursor;
    let tag = opened.records.tag;
    let Some((sub, kind, early)) = session.subscriptions.open(tag, opened.records.guard) else {
        return;
    };
    out.send(Frame::Said(Say::Subscribed { id, sub, cursor }));
    say_early(session, out, (sub, kind), &early);
    let Some(presence) = opened.presence else { return };
    let tag = presence.tag;
    if let Some((sub, kind, early)) = session.subscriptions.open(tag, presence.guard) {
        say_early(session, out, (sub, kind), &early);
    }
}

/// What came before the subscription was answered.
fn say_early<C: FrameCodec>(
    session: &mut WebSocketSession<C>,
    out: &mut Out<C>,
    (sub, kind): (SubId, Kind),
    early: &[Fed],
) {
    for (_, event) in early.iter().filter_map(Fed::event) {
        session.say_event(out, sub, kind, event);
    }
}
