//! Subscribing: checks, the start position, and the hand-over to the shard that will feed it.

use crate::conditions::Conditions;
use crate::connections::Counted;
use crate::meter::ProjectMeter;
use crate::node::Node;
use crate::occupancy::Occupant;
use crate::shard::mailbox::{Attach, Guard, Lost, Mailbox, Message, StartDefault};
use crate::shard::shape::Wish;
use crate::topic::Topic;
use crate::watch::{Watch, WatchNumber, Watched, why_ended};
use identity::ProjectSnapshot;
use port::shaping::{GATHER_MS_MAX, GATHER_MS_MIN};
use port::{Code, CursorMint, Follow, Identity, Refusal, Shaping, ShardId, Sink, Subscription};
use rules::scopes;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::filter::{KeyPart, Level, TopicPart};
use types::limits::CURSOR_POSITIONS_MAX;
use types::{
    Access, Filter, From, Operation, Positions, TimestampMs, TopicConfig, TopicId, TopicName,
};

/// Topics a wildcard subscription covers at most.
const WILD_TOPICS_MAX: usize = 1_000;

/// What a subscription covers and where it starts.
pub(crate) struct Wanted {
    pub topics: Vec<Arc<Topic>>,
    pub positions: Positions,
    pub lost: Vec<Lost>,
    pub wish: Option<Box<Wish>>,
    pub held: Held,
}

/// As what a subscription counts, for as long as this is held.
pub(crate) struct Held {
    _watched: Watched,
    _counted: Option<Counted>,
    _occupant: Option<Occupant>,
}

/// A subscription that was admitted, for the shard that will feed it.
pub(crate) struct Admitted {
    pub who: Identity,
    pub follow: Follow,
    pub topics: Vec<Arc<Topic>>,
    pub positions: Positions,
    pub lost: Vec<Lost>,
    pub wish: Option<Box<Wish>>,
    pub mint: Arc<dyn CursorMint>,
}

/// What a subscription asks for beyond its filter, read and checked.
pub(crate) fn wish_of(
    conditions: &Conditions,
    who: &Identity,
    shaping: Option<Box<Shaping>>,
) -> Result<Option<Box<Wish>>, Refusal> {
    let Some(shaping) = shaping else {
        return Ok(None);
    };
    let conflate = shaping.conflate.map(|window| (window, GATHER_MS_MIN, "conflate_ms"));
    // Zero gathers what comes together anyway.
    let batch = shaping.batch.map(|window| (window, 0, "batch_ms"));
    for (window, least, name) in [conflate, batch].into_iter().flatten() {
        if !(u128::from(least)..=u128::from(GATHER_MS_MAX)).contains(&window.as_millis()) {
            let message = format!("`{name}` is {least} to {GATHER_MS_MAX} milliseconds");
            return Err(Refusal::new(Code::InvalidRequest, message).field(name));
        }
    }
    let condition = shaping.condition.as_deref();
    let condition = condition.map(|text| conditions.get(who.project(), text));
    Ok(Some(Box::new(Wish { condition: condition.transpose()?, shaping: *shaping })))
}

impl Admitted {
    pub fn attach(
        self,
        sink: Arc<dyn Sink>,
        meter: Arc<ProjectMeter>,
        mailbox: &Arc<Mailbox>,
        number: WatchNumber,
        attached: oneshot::Sender<(Guard, Positions)>,
    ) -> Attach {
        let start_default = match self.follow.from {
            From::Latest => StartDefault::Live,
            _ => StartDefault::Earliest,
        };
        Attach {
            who: self.who,
            tag: self.follow.tag,
            filter: self.follow.filter,
            topics: self.topics,
            positions: self.positions,
            start_default,
            lost: self.lost,
            wish: self.wish,
            mint: self.mint,
            latest_first: self.follow.latest_first,
            exclude_own: self.follow.exclude_own,
            sink,
            meter,
            number,
            mailbox: Arc::clone(mailbox),
            attached,
        }
    }
}

impl Node {
    pub(crate) async fn subscribe(
        &self,
        who: &Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Result<Subscription, Refusal> {
        let number = self.watch.number();
        let wanted = self.wanted(who, &follow, &self.watch, number).await?;
        let Wanted { topics, positions, lost, wish, held } = wanted;
        let mailbox = self.mailbox(shard)?;
        let (attached, answer) = oneshot::channel();
        let tag = follow.tag;
        let known: Vec<TopicId> = topics.iter().map(|topic| topic.id).collect();
        let is_wild = follow.filter.topic == TopicPart::Any;
        let meter = self.meters.get(who.tenant(), who.project());
        let mint = Arc::clone(&self.signer) as _;
        let filter = follow.filter.clone();
        let admitted = Admitted { who: who.clone(), follow, topics, positions, lost, wish, mint };
        let attach = admitted.attach(sink, meter, &mailbox, number, attached);
        mailbox.send(Message::Attach(Box::new(attach)));
        let (guard, start) = answer.await.map_err(|_| {
            Refusal::new(Code::Draining, "the connection's thread is shutting down")
        })?;
        self.tell_what_changed(who, &known, is_wild, &mailbox);
        // A list that changed before the shard had it may have been asked too early to end it.
        self.check_again(who, &filter)?;
        let guard = Box::new((guard, held));
        let cursor = self.signer.mint(who.project(), &start);
        Ok(Subscription { tag, start, cursor, guard })
    }

    /// What a subscription covers and where it starts, if it is allowed at all.
    /// It is known to `watch` under this number from before it is checked.
    pub(crate) async fn wanted(
        &self,
        who: &Identity,
        follow: &Follow,
        watch: &Arc<Watch>,
        number: WatchNumber,
    ) -> Result<Wanted, Refusal> {
        let wanted = self.admitted(who, follow, watch, number).await;
        self.noted(who, "record.follow", &follow.filter, wanted)
    }

    async fn admitted(
        &self,
        who: &Identity,
        follow: &Follow,
        watch: &Arc<Watch>,
        number: WatchNumber,
    ) -> Result<Wanted, Refusal> {
        let snapshot = self.admit(who)?;
        let watched = watch.enter(number, who, &follow.filter);
        check_follow(&snapshot, who, &follow.filter, self.world.clock.now_ms())?;
        self.check_reading(who, &snapshot)?;
        // Counted before any work is done for it.
        let counted = match follow.connection {
            Some(id) => self.connections.subscribe(id, &snapshot.limits)?,
            None => None,
        };
        let topics = self.followed_topics(who, &follow.filter).await?;
        let positions = self.start_of(who, &topics, follow).await?;
        let (positions, lost) = match &follow.from {
            From::Cursors(_) => self.without_lost(&topics, &follow.filter, positions),
            _ => (positions, Vec::new()),
        };
        let wish = wish_of(&self.conditions, who, follow.shaping.clone())?;
        let occupant = self.occupy(who, &follow.filter);
        let held = Held { _watched: watched, _counted: counted, _occupant: occupant };
        Ok(Wanted { topics, positions, lost, wish, held })
    }

    /// Refuses a subscription that was admitted and may not go on now.
    pub(crate) fn check_again(&self, who: &Identity, filter: &Filter) -> Result<(), Refusal> {
        let snapshot = self.snapshot(who.project())?;
        let now = self.world.clock.now_ms();
        check_follow(&snapshot, who, filter, now).map_err(|_| why_ended())
    }

    /// Topics made or deleted while the subscription was on its way to the shard were told to it
    /// before it was there. Told twice, both do nothing.
    fn tell_what_changed(
        &self,
        who: &Identity,
        known: &[TopicId],
        is_wild: bool,
        mailbox: &Mailbox,
    ) {
        for &id in known.iter().filter(|&&id| self.catalogue.by_id(id).is_none()) {
            let why = Refusal::new(Code::TopicNotFound, "the topic was deleted");
            mailbox.send(Message::TopicEnded(id, why));
        }
        if is_wild {
            let topics = self.catalogue.list(who.project(), None, usize::MAX);
            for topic in topics.into_iter().filter(|topic| !known.contains(&topic.id)) {
                mailbox.send(Message::TopicCreated(topic));
            }
        }
    }

    /// An exact topic that does not exist yet is created by its first follower as by its first
    /// publisher; otherwise whoever comes first would be refused.
    async fn followed_topics(
        &self,
        who: &Identity,
        filter: &Filter,
    ) -> Result<Vec<Arc<Topic>>, Refusal> {
        match &filter.topic {
            TopicPart::Exact(name) if *name == TopicName::presence() => {
                Ok(vec![self.presence_topic(who)?])
            }
            TopicPart::Exact(name) => match self.catalogue.get(who.project(), name) {
                Some(topic) => Ok(vec![topic]),
                None => Ok(vec![self.create_on_use(who, name, TopicConfig::default()).await?]),
            },
            TopicPart::Any => {
                let topics = self.catalogue.list(who.project(), None, WILD_TOPICS_MAX + 1);
                if topics.len() > WILD_TOPICS_MAX {
                    let message = format!("a filter covers at most {WILD_TOPICS_MAX} topics");
                    return Err(Refusal::new(Code::InvalidFilter, message)
                        .field("filter")
                        .hint("name the topic"));
                }
                let partitions: usize = topics.iter().map(|it| it.partitions() as usize).sum();
                if partitions > CURSOR_POSITIONS_MAX {
                    let message =
                        format!("a filter covers at most {CURSOR_POSITIONS_MAX} partitions");
                    return Err(Refusal::new(Code::InvalidFilter, message)
                        .field("filter")
                        .hint("name the topic"));
                }
                Ok(topics)
            }
        }
    }

    /// Positions known before the shard takes over; partitions left out start at the default.
    async fn start_of(
        &self,
        who: &Identity,
        topics: &[Arc<Topic>],
        follow: &Follow,
    ) -> Result<Positions, Refusal> {
        let mut start = Positions::default();
        match &follow.from {
            From::Latest => {}
            From::Cursors(cursors) => start = self.open_cursors(who.project(), cursors)?,
            From::Offset(_) | From::Consumer(_) if follow.filter.topic == TopicPart::Any => {
                return Err(Refusal::new(
                    Code::InvalidRequest,
                    "an offset or a consumer belongs to one topic, and the filter takes several",
                )
                .field("from")
                .hint("use a cursor, a time, `earliest` or `latest`"));
            }
            From::Consumer(name) => {
                for topic in topics {
                    start.merge(&self.committed_of(who, topic, name).await?);
                }
            }
            from => {
                for topic in topics {
                    start.merge(&self.resolve(topic, from).await?);
                }
            }
        }
        Ok(start)
    }
}

/// Presence of an address may be watched by whoever may follow the address itself.
pub(crate) fn check_follow(
    snapshot: &ProjectSnapshot,
    who: &Identity,
    filter: &Filter,
    now: TimestampMs,
) -> Result<(), Refusal> {
    let check =
        |operation, filter: &Filter| snapshot.check_filter(who.claims(), operation, filter, now);
    let is_presence = |name: &TopicName| *name == TopicName::presence();
    let TopicPart::Exact(name) = &filter.topic else {
        return check(Operation::Subscribe, filter);
    };
    if !is_presence(name) {
        return check(Operation::Subscribe, filter);
    }
    scopes::require(who.claims().scopes, scopes::needed_for(Access::Subscribe))?;
    let parse = |topic: &str| {
        TopicName::parse(topic)
            .map_err(|error| Refusal::new(Code::InvalidTopic, error.to_string()).field("filter"))
    };
    let watched = match &filter.key {
        KeyPart::All => Filter { topic: TopicPart::Any, key: KeyPart::All },
        KeyPart::Exact(address) => {
            let (topic, key) = match address.split_once('/') {
                Some((topic, key)) => (topic, Some(key.as_bytes())),
                None => (&**address, None),
            };
            let (claims, operation) = (who.claims(), Operation::Presence);
            return snapshot.check_address(claims, operation, &parse(topic)?, key, now);
        }
        KeyPart::Levels { levels, rest } => {
            let (first, below) = levels.split_first().ok_or_else(|| {
                Refusal::new(Code::InvalidFilter, "a filter has a level").field("filter")
            })?;
            let topic = match first {
                Level::Exact(topic) => TopicPart::Exact(parse(topic)?),
                Level::One => TopicPart::Any,
            };
            // Nothing below the topic: asking for the right to all of it errs on the safe side.
            let key = match below {
                [] => KeyPart::All,
                below => KeyPart::Levels { levels: below.into(), rest: *rest },
            };
            Filter { topic, key }
        }
    };
    check(Operation::Presence, &watched)
}
