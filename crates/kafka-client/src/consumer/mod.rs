//! Reads records: of partitions that are given by hand, or as a member of a group, of the classic
//! kind or the newer (KIP-848, which brokers since Kafka 4.0 and Mainstem serve). Only what is
//! committed is handed out. What is read ahead is bounded in bytes.

mod assignors;
mod fetch;
mod fetcher;
mod membership;
mod rounds;
#[cfg(test)]
mod tests;

pub use fetch::{Amount, Asked, Fetched, Message, Stored, fetch};

use crate::admin::{
    Admin, At, Committed, GroupKind, Offsets, commit_topics, fetch_request, judge_commit,
    judge_fetch, read_offsets,
};
use crate::cluster::{Cluster, Coordinates};
use crate::producer::GroupMember;
use crate::{Error, Result};
use fetcher::{Brought, Command, Fetcher, Place};
use membership::{Joining, Membership};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire_kafka::errors as codes;
use wire_kafka::messages::Api;
use wire_kafka::messages::offset_commit::OffsetCommitRequest;

/// Commands that the fetcher has not taken yet.
const COMMANDS_MAX: usize = 1_000;
/// How often a commit is tried while the member's epoch changes.
const EPOCHS_MAX: u32 = 10;

/// Where to begin when nothing else says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// When positions are committed for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// When `commit` is called.
    ByHand,
    /// Also when the reader asks for more and this long has gone by, when partitions are taken
    /// away, and at the end: what was handed out before counts as done.
    Every(Duration),
}

#[derive(Debug, Clone)]
pub struct Options {
    pub start: Start,
    pub commits: Commits,
    /// Bytes that are read ahead, as they come over the wire, but for one batch that is larger.
    pub prefetch_bytes_max: usize,
    /// Bytes of one answer.
    pub fetch_bytes_max: usize,
    /// How long a broker waits for the first record.
    pub wait_ms: u32,
    /// Records that one `poll` hands out.
    pub poll_records_max: usize,
    /// Who does not ask for more for so long loses its partitions to the others.
    pub poll_ms_max: u32,
    /// The kind of group to join; `None`: that of KIP-848 where the broker has it, else classic.
    pub group: Option<GroupKind>,
    /// A lasting name in the group: who comes back under it in time finds its partitions.
    pub instance: Option<String>,
    /// Of a classic group: who is silent for so long is given up.
    pub session_ms: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            start: Start::Earliest,
            commits: Commits::ByHand,
            prefetch_bytes_max: 32 * 1024 * 1024,
            fetch_bytes_max: 8 * 1024 * 1024,
            wait_ms: 500,
            poll_records_max: 1_000,
            poll_ms_max: 300_000,
            group: None,
            instance: None,
            session_ms: 45_000,
        }
    }
}

struct Position {
    /// The offset behind what was handed out.
    next: i64,
    turn: u64,
}

pub struct Consumer {
    cluster: Arc<Cluster>,
    options: Options,
    group: Option<String>,
    membership: Option<Membership>,
    losses: u64,
    commands: mpsc::Sender<Command>,
    brought: mpsc::UnboundedReceiver<Brought>,
    fetcher: JoinHandle<()>,
    positions: BTreeMap<Place, Position>,
    /// Taken from the fetcher and not handed out yet.
    waiting: VecDeque<(Brought, VecDeque<Message>)>,
    turn: u64,
    committed_at: Instant,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer({:?}, {:?})", self.group, self.positions.keys())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

impl Consumer {
    fn new(cluster: &Arc<Cluster>, options: Options, group: Option<&str>) -> Consumer {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (out, brought) = mpsc::unbounded_channel();
        // A fetch takes its room before it is asked for: there must be enough for one.
        let fetch_bytes = options.fetch_bytes_max.min(i32::MAX as usize);
        let room_bytes = options.prefetch_bytes_max.clamp(fetch_bytes, u32::MAX as usize);
        let bytes_max = i32::try_from(fetch_bytes).unwrap_or(i32::MAX);
        let amount = Amount {
            wait_ms: i32::try_from(options.wait_ms).unwrap_or(i32::MAX),
            bytes_max,
            partition_bytes_max: bytes_max,
        };
        let fetcher = Fetcher::new(Arc::clone(cluster), amount, room_bytes, out);
        Consumer {
            cluster: Arc::clone(cluster),
            options,
            group: group.map(str::to_owned),
            membership: None,
            losses: 0,
            commands,
            brought,
            fetcher: tokio::spawn(fetcher.run(receiver)),
            positions: BTreeMap::new(),
            waiting: VecDeque::new(),
            turn: 0,
            committed_at: Instant::now(),
        }
    }

    /// Reads partitions given by hand. With a group it begins where that has committed, and
    /// commits for it; nobody else should do so.
    ///
    /// # Errors
    /// When the broker does not answer, or we may not read.
    pub async fn assigned(
        cluster: &Arc<Cluster>,
        options: Options,
        group: Option<&str>,
        places: impl IntoIterator<Item = (String, i32)>,
    ) -> Result<Consumer> {
        let mut consumer = Consumer::new(cluster, options, group);
        consumer.add(places.into_iter().collect()).await?;
        Ok(consumer)
    }

    /// Joins a group: its members share the partitions of these topics.
    ///
    /// # Errors
    /// When the broker does not serve groups of the kind that is asked for.
    pub async fn subscribed(
        cluster: &Arc<Cluster>,
        options: Options,
        group: &str,
        topics: &[&str],
    ) -> Result<Consumer> {
        let connection = cluster.any().await?;
        let (newer, classic) = (Api::ConsumerGroupHeartbeat, Api::JoinGroup);
        let kind = options.group.unwrap_or_else(|| match connection.serves(newer) {
            true => GroupKind::Consumer,
            false => GroupKind::Classic,
        });
        let api = if kind == GroupKind::Consumer { newer } else { classic };
        if !connection.serves(api) {
            return Err(Error::Unsupported(api.name()));
        }
        let mut consumer = Consumer::new(cluster, options, Some(group));
        let joining = Joining {
            kind,
            group: group.to_owned(),
            topics: topics.iter().map(|name| (*name).to_owned()).collect(),
            instance: consumer.options.instance.clone(),
            session_ms: consumer.options.session_ms,
            rebalance_ms_max: i32::try_from(consumer.options.poll_ms_max).unwrap_or(i32::MAX),
        };
        consumer.membership = Some(Membership::begin(cluster, joining));
        Ok(consumer)
    }

    /// What is read now.
    pub fn assignment(&self) -> Vec<(String, i32)> {
        self.positions.keys().cloned().collect()
    }

    /// The offset behind what was handed out of a partition.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.positions.get(&(topic.to_owned(), partition)).map(|position| position.next)
    }

    /// All positions, as they are committed.
    pub fn positions(&self) -> Offsets {
        let committed =
            |next| Committed { offset: next, leader_epoch: -1, metadata: String::new() };
        let positions = self.positions.iter();
        positions.map(|(place, position)| (place.clone(), committed(position.next))).collect()
    }

    /// Who we are in the group, for offsets in a transaction.
    pub fn member(&self) -> Option<GroupMember> {
        let group = self.group.as_deref()?;
        match &self.membership {
            None => Some(GroupMember::alone(group)),
            Some(membership) => {
                let told = membership.told.borrow();
                let (group, member) = (group.to_owned(), told.member.clone());
                Some(GroupMember { group, member, epoch: told.epoch })
            }
        }
    }

    /// Goes on elsewhere in a partition that is read.
    ///
    /// # Errors
    /// When it is not.
    pub async fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let place = (topic.to_owned(), partition);
        if !self.positions.contains_key(&place) {
            return Err(Error::Invalid(format!("{topic}/{partition} is not read here")));
        }
        self.read(place, offset).await
    }

    async fn read(&mut self, place: Place, offset: i64) -> Result<()> {
        self.turn += 1;
        let turn = self.turn;
        self.positions.insert(place.clone(), Position { next: offset, turn });
        self.command(Command::Read { place, offset, turn }).await
    }

    async fn command(&self, command: Command) -> Result<()> {
        let ended = |_| Error::Invalid("the consumer has ended".to_owned());
        self.commands.send(command).await.map_err(ended)
    }

    async fn add(&mut self, places: BTreeSet<Place>) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let committed = match &self.group {
            Some(_) => self.committed().await?,
            None => Offsets::new(),
        };
        for place in places {
            let offset = match committed.get(&place) {
                Some(committed) => committed.offset,
                None => self.start(&place).await?,
            };
            self.read(place, offset).await?;
        }
        Ok(())
    }

    async fn start(&self, (topic, partition): &Place) -> Result<i64> {
        let at = match self.options.start {
            Start::Earliest => At::Earliest,
            Start::Latest => At::Latest,
        };
        let admin = Admin::new(Arc::clone(&self.cluster));
        Ok(admin.offset(topic, *partition, at).await?.unwrap_or(0))
    }

    /// What the group has committed, also of partitions that others read.
    ///
    /// # Errors
    /// When the consumer has no group, or is not one of it any more.
    pub async fn committed(&self) -> Result<Offsets> {
        let group = self.group.as_deref().ok_or_else(no_group)?;
        let member = self.member().filter(|member| !member.member.is_empty());
        let member = member.as_ref().map(|member| (member.member.as_str(), member.epoch));
        let request = fetch_request(group, member);
        let key = (Coordinates::Group, group);
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_fetch);
        read_offsets(told.await?)
    }

    /// The next records, of one or several partitions, in order in each; none when none came in
    /// time. Partitions come and go while this is called, and only then.
    ///
    /// # Errors
    /// When a partition cannot be read, or the group does not want us.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<Message>> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            self.follow().await?;
            self.commit_in_time().await?;
            let found = self.hand_out();
            if !found.is_empty() {
                return Ok(found);
            }
            let changed = async {
                match &mut self.membership {
                    Some(membership) => drop(membership.told.changed().await),
                    None => std::future::pending().await,
                }
            };
            let brought = tokio::select! {
                brought = self.brought.recv() => brought,
                () = changed => None,
                () = tokio::time::sleep_until(until) => return Ok(Vec::new()),
            };
            if let Some(brought) = brought {
                self.take(brought).await?;
            }
        }
    }

    async fn take(&mut self, mut brought: Brought) -> Result<()> {
        let position = self.positions.get(&brought.place);
        if position.is_none_or(|position| position.turn != brought.turn) {
            return Ok(());
        }
        match std::mem::replace(&mut brought.outcome, Ok(Vec::new())) {
            Ok(found) => self.waiting.push_back((brought, found.into())),
            Err(error) if error.is(codes::OFFSET_OUT_OF_RANGE) => {
                let offset = self.start(&brought.place).await?;
                self.read(brought.place, offset).await?;
            }
            Err(error) => {
                // Asked again, it is tried again.
                self.read(brought.place, brought.next).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    fn hand_out(&mut self) -> Vec<Message> {
        let mut found = Vec::new();
        while found.len() < self.options.poll_records_max
            && let Some((brought, messages)) = self.waiting.front_mut()
        {
            let position = self.positions.get_mut(&brought.place);
            let Some(position) = position.filter(|position| position.turn == brought.turn) else {
                self.waiting.pop_front();
                continue;
            };
            match messages.pop_front() {
                Some(message) => {
                    position.next = message.offset + 1;
                    found.push(message);
                }
                None => {
                    position.next = brought.next;
                    self.waiting.pop_front();
                }
            }
        }
        found
    }

    /// Does what the coordinator wants: lets go of partitions, takes others.
    async fn follow(&mut self) -> Result<()> {
        let Some(membership) = &mut self.membership else { return Ok(()) };
        let told = membership.told.borrow_and_update().clone();
        if let Some(error) = told.error {
            return Err(error);
        }
        if told.losses != self.losses {
            // Others have what was ours: nothing of it can be committed.
            self.losses = told.losses;
            let all: Vec<Place> = self.positions.keys().cloned().collect();
            self.let_go(all).await?;
            self.own();
            return Ok(());
        }
        let Some(target) = told.target else { return Ok(()) };
        let gone = self.positions.keys().filter(|place| !target.contains(*place));
        let gone: Vec<Place> = gone.cloned().collect();
        if !gone.is_empty() {
            if self.options.commits != Commits::ByHand {
                self.commit().await?;
            }
            self.let_go(gone).await?;
        }
        let new = target.into_iter().filter(|place| !self.positions.contains_key(place)).collect();
        self.add(new).await?;
        self.own();
        Ok(())
    }

    async fn let_go(&mut self, places: Vec<Place>) -> Result<()> {
        for place in places {
            self.positions.remove(&place);
            self.command(Command::Leave(place)).await?;
        }
        Ok(())
    }

    fn own(&self) {
        if let Some(membership) = &self.membership {
            membership.own(self.positions.keys().cloned().collect());
        }
    }

    async fn commit_in_time(&mut self) -> Result<()> {
        match self.options.commits {
            Commits::Every(time) if self.committed_at.elapsed() >= time => self.commit().await,
            _ => Ok(()),
        }
    }

    /// Commits all positions and waits until that counts.
    ///
    /// # Errors
    /// When the consumer has no group, or is not one of it any more.
    pub async fn commit(&mut self) -> Result<()> {
        self.commit_offsets(&self.positions()).await?;
        self.committed_at = Instant::now();
        Ok(())
    }

    /// Commits these offsets and waits until that counts.
    ///
    /// # Errors
    /// As `commit`.
    pub async fn commit_offsets(&self, offsets: &Offsets) -> Result<()> {
        let group = self.group.as_deref().ok_or_else(no_group)?;
        if offsets.is_empty() {
            return Ok(());
        }
        for attempt in 0..EPOCHS_MAX {
            let member = self.member().ok_or_else(no_group)?;
            let request = OffsetCommitRequest {
                group_id: group.to_owned(),
                generation_id_or_member_epoch: member.epoch,
                member_id: member.member,
                topics: commit_topics(offsets),
                ..OffsetCommitRequest::default()
            };
            let key = (Coordinates::Group, group);
            let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_commit).await;
            match told {
                // The epoch moved on while we asked: the next beat tells it.
                Err(error) if error.is(codes::STALE_MEMBER_EPOCH) => {
                    let wait = self.cluster.settings.backoff().wait(attempt + 1, &stdx::SystemRng);
                    tokio::time::sleep(wait).await;
                }
                told => return told.map(|_| ()),
            }
        }
        Err(Error::refused(codes::STALE_MEMBER_EPOCH, None))
    }

    /// Commits if it does so by itself, and leaves the group.
    ///
    /// # Errors
    /// When either does not reach the broker; the group then notices by itself.
    pub async fn close(mut self) -> Result<()> {
        if self.options.commits != Commits::ByHand && self.group.is_some() {
            self.commit().await?;
        }
        match self.membership.take() {
            Some(membership) => membership.leave().await,
            None => Ok(()),
        }
    }
}

fn no_group() -> Error {
    Error::Invalid("the consumer has no group".to_owned())
}
