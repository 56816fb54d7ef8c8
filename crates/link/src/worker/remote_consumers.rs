//! Durable consumers in a worker: all of it is the owner's.

use super::remote::RemoteHub;
use crate::call::{Call, ConsumerCall};
use crate::wire::Coded;
use port::consumers::{
    ConsumerAddress, ConsumerInfo, DeadLetters, Fetch, Leased, ReplayTo, ResetTo, Settled,
    Settlement, Which,
};
use port::{Answer, Consumers, Identity, Placed, Refusal};
use types::{ConsumerConfig, ConsumerName, Record, TopicName};

impl RemoteHub {
    fn consumer<'a, T: Coded + Send + 'a>(
        &'a self,
        who: &'a Identity,
        call: ConsumerCall,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            let (who, call) = (self.who(who)?, Box::new(call));
            self.line().ask(Call::Consumers { who, call }).await
        })
    }
}

impl Consumers for RemoteHub {
    fn put<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        config: ConsumerConfig,
    ) -> Answer<'a, (ConsumerInfo, bool)> {
        self.consumer(who, ConsumerCall::Put { at: at.clone(), config })
    }

    fn get<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ConsumerInfo> {
        self.consumer(who, ConsumerCall::Get { at: at.clone() })
    }

    fn list<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<ConsumerName>,
        limit: usize,
    ) -> Answer<'a, Vec<ConsumerInfo>> {
        self.consumer(who, ConsumerCall::List { topic: topic.clone(), after, limit })
    }

    fn delete<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ()> {
        self.consumer(who, ConsumerCall::Delete { at: at.clone() })
    }

    fn fetch<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        fetch: Fetch,
    ) -> Answer<'a, Vec<Leased>> {
        self.consumer(who, ConsumerCall::Fetch { at: at.clone(), fetch })
    }

    fn settle<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        settlements: Vec<Settlement>,
    ) -> Answer<'a, Vec<Result<Settled, Refusal>>> {
        self.consumer(who, ConsumerCall::Settle { at: at.clone(), settlements })
    }

    fn settle_with<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        tokens: Vec<String>,
        publishes: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        self.consumer(who, ConsumerCall::SettleWith { at: at.clone(), tokens, publishes })
    }

    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursors: Vec<String>,
    ) -> Answer<'a, ConsumerInfo> {
        self.consumer(who, ConsumerCall::Commit { at: at.clone(), cursors })
    }

    fn reset<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        to: ResetTo,
    ) -> Answer<'a, ConsumerInfo> {
        self.consumer(who, ConsumerCall::Reset { at: at.clone(), to })
    }

    fn dead_letters<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursor: Option<String>,
        limit: usize,
    ) -> Answer<'a, DeadLetters> {
        self.consumer(who, ConsumerCall::DeadLetters { at: at.clone(), cursor, limit })
    }

    fn replay<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
        to: ReplayTo,
    ) -> Answer<'a, u64> {
        self.consumer(who, ConsumerCall::Replay { at: at.clone(), which, to })
    }

    fn purge<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
    ) -> Answer<'a, u64> {
        self.consumer(who, ConsumerCall::Purge { at: at.clone(), which })
    }
}
