//! The platform's topic of changes: only the platform writes it, administrators read it, and
//! nobody meets it by accident.

use super::{Outlet, SHARD, collect, follow, name, on_shard, record, values};
use port::{Change, Code, Hub, Live, ReadRequest};
use std::time::Duration;
use types::{From, Scope, Scopes, TopicConfig, TopicName};

fn read() -> ReadRequest {
    ReadRequest {
        topic: TopicName::changes(),
        from: From::Earliest,
        key: None,
        last: None,
        limit: 10,
        wait: Duration::ZERO,
    }
}

fn scopes(list: &[Scope]) -> Scopes {
    list.iter().copied().collect()
}

#[test]
fn written_by_the_platform_read_by_administrators() {
    on_shard(async |site| {
        let platform = site.authenticator.platform(site.project).await.expect("the platform");
        site.publish(&platform, "$changes", vec![record("key/1", "revoked")]).await;
        let owner = site.owner().await;
        let stored = site.node.read(&owner, read()).await.expect("an administrator reads");
        assert_eq!(values(&stored.records), ["revoked"]);

        let project = (site.tenant, site.project);
        let reader = site.caller(project, scopes(&[Scope::EventsSubscribe])).await;
        let refused = site.node.read(&reader, read()).await.expect_err("not his");
        assert_eq!(refused.code(), Code::InsufficientScope);
        let follow_it =
            site.node.follow(&reader, follow("$changes", From::Earliest), SHARD, Outlet::new(1));
        assert_eq!(
            follow_it.await.map(|_| ()).expect_err("nor so").code(),
            Code::InsufficientScope
        );
        let admin = site.caller(project, scopes(&[Scope::AdminRead])).await;
        assert!(site.node.read(&admin, read()).await.is_ok(), "`admin:read` is enough");

        let topic = TopicName::changes();
        let operator = site.authenticator.operator(site.project).await.expect("an operator");
        for who in [&owner, &operator] {
            let forged = site.node.append(who, &topic, vec![record("key/1", "forged")]).await;
            assert_eq!(forged.expect_err("not theirs").code(), Code::AddressForbidden);
        }
        let config = TopicConfig::default();
        let put = site.node.put_topic(&owner, &topic, config.clone()).await;
        assert_eq!(put.map(|_| ()).expect_err("not theirs").code(), Code::AddressForbidden);
        assert!(site.node.delete_topic(&owner, &topic).await.is_err());
        assert!(site.node.put_topic(&operator, &topic, config).await.is_ok(), "retention is his");
    });
}

#[test]
fn no_list_and_no_wildcard_has_it() {
    on_shard(async |site| {
        let owner = site.owner().await;
        let outlet = Outlet::new(10);
        let all = site.node.follow(&owner, follow("#", From::Earliest), SHARD, outlet.clone());
        let _all = all.await.expect("a subscription");
        let platform = site.authenticator.platform(site.project).await.expect("the platform");
        site.publish(&platform, "$changes", vec![record("key/1", "revoked")]).await;
        site.publish(&owner, "t", vec![record("k", "mine")]).await;
        assert_eq!(values(&collect(&outlet, 1).await), ["mine"]);
        let topics = site.node.topics(&owner, None, 10).await.expect("topics");
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["t"]);
        let live = Outlet::new(10);
        let one =
            site.node.follow(&owner, follow("$changes/key/#", From::Earliest), SHARD, live.clone());
        let _one = one.await.expect("a subscription by name");
        assert_eq!(values(&collect(&live, 1).await), ["revoked"]);
    });
}

#[test]
fn it_goes_with_its_project() {
    on_shard(async |site| {
        let platform = site.authenticator.platform(site.project).await.expect("the platform");
        site.publish(&platform, "$changes", vec![record("key/1", "revoked")]).await;
        let by = tenancy::Actor::system();
        site.tenancy.delete_project(site.tenant, site.project, &by).await.expect("deleted");
        assert!(site.node.catalogue.get(site.project, &TopicName::changes()).is_some());
        site.node.changed(Change::Project(site.project));
        while site.node.catalogue.get(site.project, &name("$changes")).is_some() {
            tokio::task::yield_now().await;
        }
    });
}
