//! Durable consumers' definitions: names, bounds, isolation, and their end with their topic.

use super::{Store, on_each, operator};
use crate::{AuditFilter, Consumer, ConsumerPlace, ConsumerTerms, Result, TenancyError};
use types::{ConsumerConfig, ConsumerName, ProjectId, TenantId, TopicConfig, TopicId, TopicName};

fn topic_name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn name(text: &str) -> ConsumerName {
    ConsumerName::parse(text).unwrap()
}

/// A topic to consume from.
struct Site<'a> {
    store: &'a Store,
    scope: (TenantId, ProjectId),
    topic: TopicId,
    topic_name: TopicName,
}

impl<'a> Site<'a> {
    async fn new(store: &'a Store, tenant: &str) -> Site<'a> {
        let scope = store.scope(tenant).await;
        let topic_name = topic_name("orders");
        let config = TopicConfig::default();
        let topic = store.create_topic(scope.0, scope.1, &topic_name, &config, &operator()).await;
        Site { store, scope, topic: topic.unwrap().id, topic_name }
    }

    fn at<'b>(&'b self, name: &'b ConsumerName) -> ConsumerPlace<'b> {
        ConsumerPlace { topic: self.topic, topic_name: &self.topic_name, name }
    }

    async fn create(&self, name: &ConsumerName, dead: &str, max: usize) -> Result<Consumer> {
        let dead_letter_topic = topic_name(dead);
        let config = ConsumerConfig::default();
        let terms = ConsumerTerms { config: &config, dead_letter_topic: &dead_letter_topic };
        let (tenant, project) = self.scope;
        self.store.create_consumer(tenant, project, self.at(name), terms, max, &operator()).await
    }
}

#[tokio::test]
async fn a_consumer_from_creation_to_deletion() {
    on_each(async |store| {
        let site = Site::new(store, "a").await;
        let (tenant, project) = site.scope;
        let name = name("mail");
        let made = site.create(&name, "orders.mail.dead", 10).await.unwrap();
        assert_eq!(store.consumer(tenant, project, site.topic, &name).await.unwrap(), made);
        let config = ConsumerConfig { deliveries_max: 9, ..ConsumerConfig::default() };
        let dead = topic_name("elsewhere");
        let terms = ConsumerTerms { config: &config, dead_letter_topic: &dead };
        let altered = store
            .alter_consumer(tenant, project, site.at(&name), terms, &operator())
            .await
            .unwrap();
        assert_eq!((altered.id, &altered.config), (made.id, &config));
        assert_eq!(store.consumer(tenant, project, site.topic, &name).await.unwrap(), altered);
        store.delete_consumer(tenant, project, site.at(&name), &operator()).await.unwrap();
        let missing = Err(TenancyError::NotFound { what: "consumer" });
        assert_eq!(store.consumer(tenant, project, site.topic, &name).await, missing);
        let again = site.create(&name, "orders.mail.dead", 10).await.unwrap();
        assert_ne!(again.id, made.id, "a deleted consumer's place is nobody's");
        let trail = store.audit(tenant, &AuditFilter::default(), 10).await.unwrap().items;
        let actions: Vec<&str> = trail.iter().map(|record| record.action.as_str()).collect();
        let expected = ["consumer.create", "consumer.delete", "consumer.update", "consumer.create"];
        assert_eq!(actions[..4], expected);
        assert_eq!(trail[0].target, "orders/mail");
    })
    .await;
}

#[tokio::test]
async fn names_and_dead_letter_topics_are_taken_once_and_counted() {
    on_each(async |store| {
        let site = Site::new(store, "a").await;
        site.create(&name("a"), "dead-a", 2).await.unwrap();
        let taken = site.create(&name("a"), "dead-b", 2).await;
        assert!(matches!(taken, Err(TenancyError::Conflict { field: Some("name"), .. })));
        let taken = site.create(&name("b"), "dead-a", 2).await;
        let field = Some("dead_letter_topic");
        assert!(matches!(taken, Err(TenancyError::Conflict { field: f, .. }) if f == field));
        site.create(&name("b"), "dead-b", 2).await.unwrap();
        let full = site.create(&name("c"), "dead-c", 2).await;
        assert_eq!(full, Err(TenancyError::LimitReached { what: "consumers", max: 2 }));
        let (tenant, project) = site.scope;
        let page = store.consumers(tenant, project, site.topic, None, 1).await.unwrap();
        assert_eq!((page.items[0].name.as_str(), page.has_more), ("a", true));
        let after = Some(&page.items[0].name);
        let page = store.consumers(tenant, project, site.topic, after, 1).await.unwrap();
        assert_eq!((page.items[0].name.as_str(), page.has_more), ("b", false));
    })
    .await;
}

#[tokio::test]
async fn other_tenants_see_nothing_and_a_topic_takes_its_consumers_along() {
    on_each(async |store| {
        let (site, other) = (Site::new(store, "a").await, Site::new(store, "b").await);
        let name = name("mail");
        site.create(&name, "dead", 10).await.unwrap();
        let (tenant, project) = other.scope;
        let missing = Err(TenancyError::NotFound { what: "consumer" });
        assert_eq!(store.consumer(tenant, project, site.topic, &name).await, missing);
        assert_eq!(
            store.delete_consumer(tenant, project, site.at(&name), &operator()).await,
            missing
        );
        assert!(
            store.consumers(tenant, project, site.topic, None, 9).await.unwrap().items.is_empty()
        );
        let (tenant, project) = site.scope;
        store.delete_topic(tenant, project, &site.topic_name, &operator()).await.unwrap();
        assert_eq!(store.consumer(tenant, project, site.topic, &name).await, missing);
    })
    .await;
}
