//! The life of topics on this node: loaded at start, created by name or on first use, changed,
//! deleted. The database has the definition, the engine the data, the catalogue both.

use crate::branch::News;
use crate::cleanup;
use crate::node::Node;
use crate::occupancy;
use crate::refusal::refusal_of;
use crate::schemas::{self, VERSIONS_USABLE_MAX, Versions};
use crate::shard::mailbox::Message;
use crate::topic::{Definition, Topic, TopicSeed};
use eventlog::TopicSpec;
use identity::ProjectSnapshot;
use port::hub::PartitionInfo;
use port::{Code, Identity, Refusal, TopicInfo};
use rules::{Schema, quota, scopes};
use std::collections::HashMap;
use std::sync::Arc;
use tenancy::{Actor, Topic as Record};
use types::limits::{PARTITIONS_MAX, READ_RECORDS_MAX};
use types::{Durability, Operation, ProjectId, Scope, TenantId, TopicConfig, TopicId, TopicName};

/// Ids take space for as long as they are remembered.
const IDEMPOTENCY_WINDOW_MS_MAX: u64 = 30 * 24 * 3_600_000;

impl Node {
    /// A topic as the database has it, brought to the engine and the catalogue.
    pub(crate) async fn load_topic(&self, record: Record) -> Result<Arc<Topic>, Refusal> {
        let versions = match record.schema_version {
            0 => Vec::new(),
            _ => {
                let (tenant, count) = (record.tenant, VERSIONS_USABLE_MAX);
                self.tenancy.newest_topic_schemas(tenant, record.id, count).await?
            }
        };
        let seed = TopicSeed {
            id: record.id,
            tenant: record.tenant,
            project: record.project,
            name: record.name,
            created_at: record.created_at,
            definition: Definition {
                config: record.config,
                versions: Versions::compile(versions),
                schema_version: record.schema_version,
            },
        };
        self.install(seed)
    }

    fn install(&self, seed: TopicSeed) -> Result<Arc<Topic>, Refusal> {
        self.engine
            .put_topic(TopicSpec {
                id: seed.id,
                tenant: seed.tenant,
                project: seed.project,
                config: seed.definition.config.clone(),
            })
            .map_err(refusal_of)?;
        let mint = Arc::clone(&self.signer);
        let topic = Arc::new(Topic::new(seed, &*self.engine, mint).map_err(refusal_of)?);
        self.catalogue.insert(Arc::clone(&topic));
        Ok(topic)
    }

    pub(crate) fn existing(&self, who: &Identity, name: &TopicName) -> Result<Arc<Topic>, Refusal> {
        self.catalogue.get(who.project(), name).ok_or_else(|| not_found(name))
    }

    /// The first publish or follow of a topic creates it with this configuration, unless the
    /// operator has switched that off.
    pub(crate) async fn create_on_use(
        &self,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, Refusal> {
        let may_create = self.options.auto_create_topics && !name.is_internal();
        if !may_create && !who.is_platform() {
            return Err(not_found(name).hint("create it with PUT /v1/topics/{topic}"));
        }
        let (who, name) = (who.clone(), name.clone());
        self.to_the_end(|node: Arc<Node>| async move {
            let _one_at_a_time = node.definitions.lock().await;
            match node.catalogue.get(who.project(), &name) {
                Some(topic) => Ok(topic),
                None if name == TopicName::occupancy() => {
                    node.create(&who, &name, occupancy::topic_config()).await
                }
                None => node.create(&who, &name, config).await,
            }
        })
        .await
    }

    /// Runs a change of a definition to its end even when whoever asked for it leaves: database,
    /// engine and catalogue must not part.
    pub(crate) async fn to_the_end<T: Send + 'static, Work>(
        &self,
        work: impl FnOnce(Arc<Node>) -> Work,
    ) -> Result<T, Refusal>
    where
        Work: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let gone = || Refusal::new(Code::Draining, "the server is shutting down");
        let node = self.this().ok_or_else(gone)?;
        match tokio::spawn(work(node)).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Refusal::internal(&error)),
        }
    }

    /// The caller holds `definitions`.
    async fn create(
        &self,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, Refusal> {
        let snapshot = self.admit(who)?;
        if !name.is_internal() {
            let existing = self.catalogue.count(who.project()) as u64;
            quota::check_topics(&snapshot.limits, existing)?;
        }
        let (tenant, project) = (who.tenant(), who.project());
        let record = self.tenancy.create_topic(tenant, project, name, &config, &actor(who)).await?;
        let topic = self.load_topic(record).await?;
        self.tell_of_topic(&topic);
        Ok(topic)
    }

    pub(crate) async fn configure(
        &self,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<(TopicInfo, bool), Refusal> {
        self.may_manage(who, name)?;
        check_owner(who, name)?;
        check_config(&config)?;
        cleanup::check(&config)?;
        // Compiled before it is stored: a schema that does not compile never gets in.
        config
            .schema
            .as_ref()
            .map(|schema| Schema::compile(config.schema_kind, schema))
            .transpose()?;
        let (who, name, tells) = (who.clone(), name.clone(), config.occupancy);
        let project = who.project();
        let work = |node: Arc<Node>| async move { node.configure_now(&who, &name, config).await };
        let done = self.to_the_end(work).await?;
        if tells {
            // From now on it can be followed and consumed, whether or not there is news.
            let platform = self.authenticator.platform(project).await?;
            let (name, usual) = (TopicName::occupancy(), TopicConfig::default());
            self.create_on_use(&platform, &name, usual).await?;
        }
        Ok(done)
    }

    async fn configure_now(
        &self,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<(TopicInfo, bool), Refusal> {
        let _one_at_a_time = self.definitions.lock().await;
        let Some(topic) = self.catalogue.get(who.project(), name) else {
            let topic = self.create(who, name, config).await?;
            return Ok((self.describe(&topic)?, true));
        };
        self.alter(who, &topic, config).await?;
        Ok((self.describe(&topic)?, false))
    }

    /// The caller holds `definitions`.
    pub(crate) async fn alter(
        &self,
        who: &Identity,
        topic: &Topic,
        config: TopicConfig,
    ) -> Result<(), Refusal> {
        let now = topic.definition.load();
        if now.config.partitions != config.partitions {
            let message = "the number of partitions is fixed at creation: a key must keep its own";
            return Err(Refusal::new(Code::Conflict, message).field("partitions"));
        }
        let was_stored = now.config.durability != Durability::Ephemeral;
        if was_stored != (config.durability != Durability::Ephemeral) {
            let message = "a topic cannot change between stored and ephemeral";
            return Err(Refusal::new(Code::Conflict, message).field("durability"));
        }
        let (tenant, project) = (who.tenant(), who.project());
        let schema = schemas::successor(&now, &config)?;
        let changed =
            self.tenancy.alter_topic(tenant, project, &topic.name, &config, &actor(who)).await?;
        let definition = Definition {
            versions: match schema {
                Some(schema) => now.versions.with(changed.schema_version, schema),
                None => Versions::default(),
            },
            config: changed.config,
            schema_version: changed.schema_version,
        };
        let spec = TopicSpec {
            id: topic.id,
            tenant: topic.tenant,
            project: topic.project,
            config: definition.config.clone(),
        };
        self.engine.put_topic(spec).map_err(refusal_of)?;
        let config = definition.config.clone();
        topic.definition.store(Arc::new(definition));
        self.tell_branches(|| {
            let news = News::Changed { topic: topic.id, config: config.clone() };
            Message::News(Box::new(news))
        });
        Ok(())
    }

    pub(crate) async fn delete(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
        self.may_manage(who, name)?;
        check_owner(who, name)?;
        let (who, name) = (who.clone(), name.clone());
        let work = |node: Arc<Node>| async move { node.delete_now(&who, &name).await };
        self.to_the_end(work).await
    }

    async fn delete_now(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
        let _one_at_a_time = self.definitions.lock().await;
        let topic = self.existing(who, name)?;
        let (tenant, project) = (who.tenant(), who.project());
        let consumers = self.consumers_of(&topic).await?;
        self.tenancy.delete_topic(tenant, project, name, &actor(who)).await?;
        self.catalogue.remove(&topic);
        self.consumers.remove_topic(topic.id);
        let why = Refusal::new(Code::TopicNotFound, "the topic was deleted");
        self.tell_ended(topic.id, &why);
        self.engine.drop_topic(topic.id).map_err(refusal_of)?;
        self.forget_states(&topic, &consumers).await
    }

    /// Followers of whole projects hear of a new topic.
    pub(crate) fn tell_of_topic(&self, topic: &Arc<Topic>) {
        // No wildcard takes one of the platform's.
        if topic.name.is_internal() {
            return;
        }
        self.tell_all(|| Message::TopicCreated(Arc::clone(topic)));
        self.tell_branches_of(topic);
    }

    /// Followers hear that the topic is no more.
    fn tell_ended(&self, topic: TopicId, why: &Refusal) {
        self.tell_all(|| Message::TopicEnded(topic, why.clone()));
        self.tell_branches(|| Message::TopicEnded(topic, why.clone()));
    }

    /// A project that is gone leaves nothing behind: the platform's own topics go with it.
    pub(crate) async fn drop_topics_of_gone(&self, project: ProjectId) {
        let topics = self.catalogue.internal(project);
        let Some(tenant) = topics.first().map(|topic| topic.tenant) else {
            return;
        };
        let found = self.tenancy.project(tenant, project).await;
        if !matches!(found, Err(tenancy::TenancyError::NotFound { .. })) {
            return;
        }
        let why = Refusal::new(Code::TopicNotFound, "the project was deleted");
        for topic in topics {
            self.catalogue.remove(&topic);
            self.consumers.remove_topic(topic.id);
            self.tell_ended(topic.id, &why);
            if let Err(error) = self.engine.drop_topic(topic.id) {
                tracing::warn!(topic = %topic.name, %error, "it stays until the next start");
            }
        }
    }

    pub(crate) fn describe(&self, topic: &Topic) -> Result<TopicInfo, Refusal> {
        let definition = topic.definition.load();
        let partitions = (0..topic.partitions())
            .map(|partition| {
                let bounds = self.engine.bounds(topic.id, partition).map_err(refusal_of)?;
                Ok(PartitionInfo { start: bounds.start, end: bounds.end })
            })
            .collect::<Result<Vec<PartitionInfo>, Refusal>>()?;
        Ok(TopicInfo {
            name: topic.name.clone(),
            id: topic.id,
            config: definition.config.clone(),
            schema_version: definition.schema_version,
            created_at: topic.created_at,
            partitions,
            stored_bytes: self.engine.stored_bytes(topic.id),
        })
    }

    /// Seeing that a topic exists takes any right to work with topics.
    pub(crate) fn may_see_topics(&self, who: &Identity) -> Result<Arc<ProjectSnapshot>, Refusal> {
        let snapshot = self.admit(who)?;
        let scopes = who.claims().scopes;
        let any = [Scope::AdminRead, Scope::AdminWrite, Scope::EventsPublish];
        if any.into_iter().any(|scope| scopes.has(scope)) {
            return Ok(snapshot);
        }
        scopes::require(scopes, Scope::EventsSubscribe)?;
        Ok(snapshot)
    }

    /// Whether access lists let this topic be seen; the scopes are checked as for all topics.
    pub(crate) fn may_see_topic(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
        let now = self.world.clock.now_ms();
        self.may_see_topics(who)?.check_topic(who.claims(), Operation::Describe, name, now)
    }

    /// Refuses who may not change what this topic is.
    pub(crate) fn may_manage(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
        let snapshot = self.admit(who)?;
        scopes::require(who.claims().scopes, Scope::AdminWrite)?;
        let now = self.world.clock.now_ms();
        snapshot.check_topic(who.claims(), Operation::Manage, name, now)
    }

    /// The project's topics that may be seen, in the order of their names.
    pub(crate) fn list_topics(
        &self,
        who: &Identity,
        mut after: Option<TopicName>,
        limit: usize,
    ) -> Result<Vec<TopicInfo>, Refusal> {
        let snapshot = self.may_see_topics(who)?;
        let now = self.world.clock.now_ms();
        let limit = limit.clamp(1, READ_RECORDS_MAX);
        let mut found = Vec::new();
        // Each turn goes on behind the last topic looked at, so it ends with the topics.
        loop {
            let topics = self.catalogue.list(who.project(), after.as_ref(), limit);
            after = topics.last().map(|topic| topic.name.clone());
            for topic in &topics {
                let seen =
                    snapshot.check_topic(who.claims(), Operation::Describe, &topic.name, now);
                if seen.is_ok() && found.len() < limit {
                    found.push(self.describe(topic)?);
                }
            }
            if topics.len() < limit || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// Bytes on the device of each project that has a topic.
    pub(crate) fn stored_by_project(&self) -> HashMap<(TenantId, ProjectId), u64> {
        let mut stored: HashMap<(TenantId, ProjectId), u64> = HashMap::new();
        for topic in self.catalogue.all() {
            let bytes = self.engine.stored_bytes(topic.id);
            *stored.entry((topic.tenant, topic.project)).or_default() += bytes;
        }
        stored
    }

    pub(crate) fn stored_bytes(&self, project: ProjectId) -> u64 {
        let topics = self.catalogue.list(project, None, usize::MAX);
        topics.iter().map(|topic| self.engine.stored_bytes(topic.id)).sum()
    }

    /// The project's presence topic: ephemeral, known to this node only, made when first needed.
    pub(crate) fn presence_topic(&self, who: &Identity) -> Result<Arc<Topic>, Refusal> {
        let (tenant, project) = (who.tenant(), who.project());
        let _one_at_a_time = self.presence_topics.lock();
        if let Some(topic) = self.catalogue.get(project, &TopicName::presence()) {
            return Ok(topic);
        }
        let config = TopicConfig { durability: Durability::Ephemeral, ..TopicConfig::default() };
        self.install(TopicSeed {
            // Numbers in the database fit 63 bits; this one is beside them.
            id: TopicId(self.world.rng.next_u64() | 1 << 63),
            tenant,
            project,
            name: TopicName::presence(),
            created_at: self.world.clock.now_ms(),
            definition: Definition { config, versions: Versions::default(), schema_version: 0 },
        })
    }
}

/// Who did it, for the audit.
fn actor(who: &Identity) -> Actor {
    Actor::from(who)
}

/// How long changes are kept is for operators to say; all else about them is the platform's, and of
/// the audit trail everything.
fn check_owner(who: &Identity, name: &TopicName) -> Result<(), Refusal> {
    let is_operators = who.is_operator() && *name != TopicName::audit();
    if name.is_internal() && !who.is_platform() && !is_operators {
        return Err(rules::grants::platform_only(name));
    }
    Ok(())
}

fn not_found(name: &TopicName) -> Refusal {
    Refusal::new(Code::TopicNotFound, format!("there is no topic `{name}` in this project"))
        .field("topic")
}

fn check_config(config: &TopicConfig) -> Result<(), Refusal> {
    schemas::check_kind(config)?;
    if config.partitions == 0 || config.partitions > PARTITIONS_MAX {
        let message = format!("a topic has 1 to {PARTITIONS_MAX} partitions");
        return Err(Refusal::new(Code::InvalidRequest, message).field("partitions"));
    }
    if config.idempotency_window_ms > IDEMPOTENCY_WINDOW_MS_MAX {
        let message = "ids are remembered for at most 30 days";
        return Err(Refusal::new(Code::InvalidRequest, message).field("idempotency_window_ms"));
    }
    let retention = config.retention;
    if [retention.age_ms_max, retention.bytes_max, retention.records_max].contains(&Some(0)) {
        let message = "a retention of zero keeps nothing";
        return Err(Refusal::new(Code::InvalidRequest, message)
            .field("retention")
            .hint("leave it out to keep everything, or make the topic ephemeral"));
    }
    Ok(())
}
