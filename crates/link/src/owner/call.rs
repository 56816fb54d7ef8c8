//! What a worker asks for, carried out by the node: one arm per call.

use super::session::Session;
use super::unsupported;
use crate::call::{Asker, Call, CallNumber, ConsumerCall, HttpAnswer, HttpAsk};
use crate::wire::bounds::HTTP_BYTES_MAX;
use crate::wire::encode;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use port::{Code, Consumers, Hub, Identity, Lease, Refusal};
use std::sync::Arc;
use tower::ServiceExt;

type Encoded = Result<Vec<u8>, Refusal>;

impl Session {
    /// Who asks, once their request is counted.
    fn identity(&self, asker: Asker) -> Result<Identity, Refusal> {
        let found = self.people.lock().get(asker.who);
        let identity =
            found.ok_or_else(|| Refusal::internal(&"a worker named somebody it was not given"))?;
        if asker.is_request {
            self.node.count_request(&identity)?;
        }
        Ok(identity)
    }

    fn held(&self, id: port::ConnectionId) -> Result<Arc<Lease>, Refusal> {
        self.lease(id).ok_or_else(|| Refusal::new(Code::NotFound, "the connection is over"))
    }

    /// `None` when the answer goes among the news.
    pub async fn carry_out(&self, number: CallNumber, call: Call) -> Option<Encoded> {
        if let Call::Follow { who, follow } = call {
            match self.identity(who) {
                Ok(who) => self.trunk.follow(number.0, &who, &follow).await,
                Err(refusal) => self.trunk.refuse(number.0, refusal),
            }
            return None;
        }
        Some(self.answer_to(call).await)
    }

    async fn answer_to(&self, call: Call) -> Encoded {
        let node = &*self.node;
        let of = |who| self.identity(who);
        Ok(match call {
            Call::Authenticate { peer, credential } => {
                let identity = node.authenticate(&peer, &credential).await?;
                let rate = node.rate(&identity);
                let proven = self.people.lock().give(identity, rate);
                encode(&proven)
            }
            Call::Open { who, connection, place } => {
                let closer = self.closer(place);
                let lease = node.open(&of(who)?, connection, closer).await?;
                encode(&self.keep(place, lease))
            }
            Call::Renew { who, connection } => {
                let lease = self.held(connection)?;
                node.renew(&of(who)?, &lease).await?;
                encode(&())
            }
            Call::Append { who, topic, records } => {
                encode(&node.append(&of(who)?, &topic, records).await?)
            }
            Call::Transact { who, parts } => encode(&node.transact(&of(who)?, parts).await?),
            Call::Read { who, request } => encode(&node.read(&of(who)?, request).await?),
            Call::Latest { who, topic, key } => {
                encode(&node.latest(&of(who)?, &topic, &key).await?)
            }
            Call::Keys { who, topic, after, limit } => {
                encode(&node.keys(&of(who)?, &topic, after, limit).await?)
            }
            Call::History { topic, partition, from, bytes_max } => {
                encode(&node.history().read(topic, partition, from, bytes_max).await)
            }
            Call::Newest { topic, partition, key } => {
                encode(&node.history().latest(topic, partition, key).await)
            }
            Call::Presence { who, connection, topic, key, call } => {
                let lease = connection.map(|id| self.held(id)).transpose()?;
                let (who, key) = (of(who)?, key.as_ref());
                encode(&node.presence(&who, lease.as_deref(), &topic, key, *call).await?)
            }
            Call::Consumers { who, call } => {
                let consumers = node.consumers().ok_or_else(|| unsupported("consumers"))?;
                Box::pin(consumer(consumers, &of(who)?, *call)).await?
            }
            Call::Address { address, count_max, place } => {
                encode(&self.addresses.enter(place, address, count_max))
            }
            Call::Http(ask) => encode(&Box::pin(self.http(*ask)).await?),
            other => Box::pin(self.defined(other)).await?,
        })
    }

    /// Calls on topics and their schemas.
    async fn defined(&self, call: Call) -> Encoded {
        let node = &*self.node;
        let of = |who| self.identity(who);
        Ok(match call {
            Call::Topics { who, after, limit } => {
                encode(&node.topics(&of(who)?, after, limit).await?)
            }
            Call::Topic { who, name } => encode(&node.topic(&of(who)?, &name).await?),
            Call::PutTopic { who, name, config } => {
                encode(&node.put_topic(&of(who)?, &name, *config).await?)
            }
            Call::DeleteTopic { who, name } => {
                node.delete_topic(&of(who)?, &name).await?;
                encode(&())
            }
            Call::Schemas { who, topic, after, limit } => {
                encode(&node.schemas(&of(who)?, &topic, after, limit).await?)
            }
            Call::Schema { who, topic, version } => {
                encode(&node.schema(&of(who)?, &topic, version).await?)
            }
            Call::PutSchema { who, topic, draft } => {
                encode(&node.put_schema(&of(who)?, &topic, draft).await?)
            }
            Call::CheckSchema { who, topic, draft } => {
                node.check_schema(&of(who)?, &topic, draft).await?;
                encode(&())
            }
            _ => return Err(Refusal::internal(&"a call that is answered elsewhere")),
        })
    }

    async fn http(&self, ask: HttpAsk) -> Result<HttpAnswer, Refusal> {
        let malformed = |error: http::Error| Refusal::internal(&error);
        let mut request = Request::builder().method(&*ask.method).uri(&ask.uri);
        for (name, value) in &ask.headers {
            let name = HeaderName::try_from(name).map_err(|error| malformed(error.into()))?;
            let value = HeaderValue::from_bytes(value).map_err(|error| malformed(error.into()))?;
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(ask.body)).map_err(malformed)?;
        request.extensions_mut().insert(ask.peer);
        let routes = self.routes.clone();
        let response = match routes.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = to_bytes(body, HTTP_BYTES_MAX).await;
        let body = body.map_err(|error| Refusal::internal(&error))?;
        let copied = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), Bytes::copy_from_slice(value.as_bytes()))
        };
        let headers = head.headers.iter().map(copied).collect();
        Ok(HttpAnswer { status: head.status.as_u16(), headers, body })
    }
}

async fn consumer(node: &dyn Consumers, who: &Identity, call: ConsumerCall) -> Encoded {
    Ok(match call {
        ConsumerCall::Put { at, config } => encode(&node.put(who, &at, config).await?),
        ConsumerCall::Get { at } => encode(&node.get(who, &at).await?),
        ConsumerCall::List { topic, after, limit } => {
            encode(&node.list(who, &topic, after, limit).await?)
        }
        ConsumerCall::Delete { at } => {
            node.delete(who, &at).await?;
            encode(&())
        }
        ConsumerCall::Fetch { at, fetch } => encode(&node.fetch(who, &at, fetch).await?),
        ConsumerCall::Settle { at, settlements } => {
            encode(&node.settle(who, &at, settlements).await?)
        }
        ConsumerCall::SettleWith { at, tokens, publishes } => {
            encode(&node.settle_with(who, &at, tokens, publishes).await?)
        }
        ConsumerCall::Commit { at, cursors } => encode(&node.commit(who, &at, cursors).await?),
        ConsumerCall::Reset { at, to } => encode(&node.reset(who, &at, to).await?),
        ConsumerCall::DeadLetters { at, cursor, limit } => {
            encode(&node.dead_letters(who, &at, cursor, limit).await?)
        }
        ConsumerCall::Replay { at, which, to } => encode(&node.replay(who, &at, which, to).await?),
        ConsumerCall::Purge { at, which } => encode(&node.purge(who, &at, which).await?),
    })
}
