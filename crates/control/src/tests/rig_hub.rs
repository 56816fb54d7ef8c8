//! A hub that keeps topics in `tenancy` and knows who callers are: the admin API asks no more.

use super::rig_consumers::RigConsumers;
use identity::Authenticator;
use port::hub::PartitionInfo;
use port::{
    Answer, Closer, Code, Connection, Credential, Delivery, Follow, Hub, Identity, Keys, Lease,
    Peer, Placed, PresenceAnswer, PresenceCall, RateState, ReadAnswer, ReadRequest, Refusal, Shard,
    ShardId, Sink, Subscription, TopicInfo,
};
use std::sync::Arc;
use tenancy::{Actor, Tenancy, TenancyError, Topic};
use types::{Key, Record, TopicConfig, TopicName};

pub(super) struct RigHub {
    tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    consumers: RigConsumers,
}

impl RigHub {
    pub(super) fn new(tenancy: Arc<Tenancy>, authenticator: Arc<Authenticator>) -> RigHub {
        RigHub { tenancy, authenticator, consumers: RigConsumers::default() }
    }
}

fn info(topic: Topic) -> TopicInfo {
    let partitions = (0..topic.config.partitions).map(|_| PartitionInfo { start: 0, end: 3 });
    TopicInfo {
        name: topic.name,
        id: topic.id,
        partitions: partitions.collect(),
        config: topic.config,
        schema_version: topic.schema_version,
        created_at: topic.created_at,
        stored_bytes: 77,
    }
}

fn not_here<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Code::Unsupported, "this hub only keeps topics"))
}

impl Hub for RigHub {
    fn authenticate<'a>(
        &'a self,
        peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity> {
        Box::pin(self.authenticator.authenticate(peer, credential))
    }

    fn rate(&self, _: &Identity) -> Option<RateState> {
        None
    }

    fn open<'a>(&'a self, _: &'a Identity, _: Connection, _: Arc<dyn Closer>) -> Answer<'a, Lease> {
        Box::pin(async { not_here() })
    }

    fn append<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a TopicName,
        _: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        Box::pin(async { not_here() })
    }

    fn read<'a>(&'a self, _: &'a Identity, _: ReadRequest) -> Answer<'a, ReadAnswer> {
        Box::pin(async { not_here() })
    }

    fn latest<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a TopicName,
        _: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        Box::pin(async { not_here() })
    }

    fn keys<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a TopicName,
        _: Option<Key>,
        _: usize,
    ) -> Answer<'a, Keys> {
        Box::pin(async { not_here() })
    }

    fn follow<'a>(
        &'a self,
        _: &'a Identity,
        _: Follow,
        _: ShardId,
        _: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        Box::pin(async { not_here() })
    }

    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        Box::pin(async move {
            let (tenant, project) = (who.tenant(), who.project());
            let page = self.tenancy.topics(tenant, project, after.as_ref(), limit).await?;
            Ok(page.items.into_iter().map(info).collect())
        })
    }

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo> {
        Box::pin(
            async move { Ok(info(self.tenancy.topic(who.tenant(), who.project(), name).await?)) },
        )
    }

    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        Box::pin(async move {
            let (tenant, project, by) = (who.tenant(), who.project(), Actor::from(who));
            match self.tenancy.create_topic(tenant, project, name, &config, &by).await {
                Ok(topic) => Ok((info(topic), true)),
                Err(TenancyError::Conflict { .. }) => {
                    let altered = self.tenancy.alter_topic(tenant, project, name, &config, &by);
                    Ok((info(altered.await?), false))
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()> {
        Box::pin(async move {
            let by = Actor::from(who);
            self.tenancy.delete_topic(who.tenant(), who.project(), name, &by).await?;
            Ok(())
        })
    }

    fn presence<'a>(
        &'a self,
        _: &'a Identity,
        _: Option<&'a Lease>,
        _: &'a TopicName,
        _: Option<&'a Key>,
        _: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        Box::pin(async { not_here() })
    }

    fn consumers(&self) -> Option<&dyn port::Consumers> {
        Some(&self.consumers)
    }

    fn shard(&self, _: ShardId) -> Box<dyn Shard> {
        panic!("no test drives a shard of this hub")
    }
}
