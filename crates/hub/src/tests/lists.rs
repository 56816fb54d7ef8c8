//! Access lists at the hub: asked by every operation, in force at once, and what was open ends.

use super::{Outlet, SHARD, Site, collect, follow, name, on_shard, record, values};
use port::presence::{PresenceAction, PresenceCall};
use port::{Change, Code, Follow, Hub, Identity, Live, ReadRequest, Refusal};
use serde_json::{Value, json};
use std::time::Duration;
use stdx::Clock;
use tenancy::{Actor, ListOwner, NewListVersion};
use types::{Filter, From, Key, Scope, Scopes, TopicConfig, TopicName};

/// Makes this the list: in force when it answers, and what is open is asked soon after.
async fn set(site: &Site, owner: ListOwner, list: Value) {
    let list = serde_json::from_value(list).expect("a list");
    let new = NewListVersion { list, from: None, note: String::new(), details: json!({}) };
    site.tenancy.put_access_list(owner, new, &Actor::system()).await.expect("a version");
    let change = match owner {
        ListOwner::Project(_, project) => Change::Project(project),
        _ => Change::Tenant(site.tenant),
    };
    site.authenticator.changed(&change).await;
    site.node.changed(change);
}

fn own(site: &Site) -> ListOwner {
    ListOwner::Project(site.tenant, site.project)
}

fn read(topic: &str, key: Option<&str>, wait: Duration) -> ReadRequest {
    ReadRequest {
        topic: name(topic),
        from: From::Earliest,
        key: key.map(|key| Key::new(key.to_owned()).expect("a key")),
        last: None,
        limit: 10,
        wait,
    }
}

fn code<T>(outcome: Result<T, Refusal>) -> Option<Code> {
    outcome.err().map(|refusal| refusal.code())
}

const FORBIDDEN: Option<Code> = Some(Code::AddressForbidden);

async fn enter(site: &Site, who: &Identity, topic: &str) -> Result<(), Refusal> {
    let action = PresenceAction::List { after: None };
    let call = PresenceCall { action, limit: 10 };
    site.node.presence(who, None, &name(topic), None, call).await.map(drop)
}

#[test]
fn every_operation_is_asked() {
    on_shard(async |site| {
        let owner = site.owner().await;
        site.publish(&owner, "open", vec![record("k", "1")]).await;
        site.publish(&owner, "shut", vec![record("k", "1")]).await;
        let entry = |id: &str, effect: &str, operations: Value, topic: Value| {
            json!({"id": id, "effect": effect, "principals": ["*"], "operations": operations,
                "topic": topic})
        };
        set(
            site,
            own(site),
            json!({"entries": [
                entry("open", "allow", json!(["all"]), json!({"literal": "open"})),
                entry("k", "allow", json!(["read"]), json!({"filter": "keyed/k"})),
            ]}),
        )
        .await;
        let node = &site.node;
        for (topic, expected) in [("open", None), ("shut", FORBIDDEN)] {
            let append = node.append(&owner, &name(topic), vec![record("k", "2")]).await;
            assert_eq!(code(append), expected, "append to {topic}");
            let parts = vec![(name(topic), vec![record("k", "2")])];
            assert_eq!(code(node.transact(&owner, parts).await), expected, "transact {topic}");
            let found = node.read(&owner, read(topic, None, Duration::ZERO)).await;
            assert_eq!(code(found), expected, "read {topic}");
            let key = Key::new("k".to_owned()).expect("a key");
            let latest = node.latest(&owner, &name(topic), &key).await;
            assert_eq!(code(latest), expected, "latest of {topic}");
            assert_eq!(code(node.keys(&owner, &name(topic), None, 9).await), expected, "keys");
            let outlet = Outlet::new(9);
            let followed = node.follow(&owner, follow(topic, From::Latest), SHARD, outlet).await;
            assert_eq!(code(followed), expected, "follow {topic}");
            assert_eq!(code(enter(site, &owner, topic).await), expected, "presence in {topic}");
            let filter = Filter::key(TopicName::presence(), topic);
            let watch = Follow { filter, ..follow(topic, From::Latest) };
            let outlet = Outlet::new(9);
            let watched = node.follow(&owner, watch, SHARD, outlet).await;
            assert_eq!(code(watched), expected, "watch presence in {topic}");
            assert_eq!(code(node.topic(&owner, &name(topic)).await), expected, "topic {topic}");
            let schemas = node.schemas(&owner, &name(topic), 0, 9).await;
            assert_eq!(code(schemas), expected, "schemas of {topic}");
            let put = node.put_topic(&owner, &name(topic), TopicConfig::default()).await;
            assert_eq!(code(put), expected, "put {topic}");
        }
        assert_eq!(code(node.delete_topic(&owner, &name("shut")).await), FORBIDDEN);
        let topics = node.topics(&owner, None, 10).await.expect("topics");
        assert_eq!(topics.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["open"]);
        // By key: one is allowed, all of them are not.
        let one = node.read(&owner, read("keyed", Some("k"), Duration::ZERO)).await;
        assert_eq!(code(one), Some(Code::TopicNotFound), "allowed, and not there");
        let all = node.read(&owner, read("keyed", None, Duration::ZERO)).await;
        assert_eq!(code(all), FORBIDDEN);
        // Operators and the platform are not bound.
        let operator = site.authenticator.operator(site.project).await.expect("an operator");
        site.publish(&operator, "shut", vec![record("k", "3")]).await;
        let platform = site.authenticator.platform(site.project).await.expect("the platform");
        site.publish(&platform, "shut", vec![record("k", "3")]).await;
        // A scope that is missing is missing, whatever the list allows.
        let publisher = [Scope::EventsPublish].into_iter().collect::<Scopes>();
        let publisher = site.caller((site.tenant, site.project), publisher).await;
        let found = node.read(&publisher, read("open", None, Duration::ZERO)).await;
        assert_eq!(code(found), Some(Code::InsufficientScope));
    });
}

#[test]
fn the_entry_is_named_to_administrators_only() {
    on_shard(async |site| {
        let deny = |id: &str| {
            json!({"default": "allow", "entries": [{"id": id, "effect": "deny",
                "principals": ["*"], "operations": ["publish"], "topic": {"literal": id}}]})
        };
        set(site, own(site), deny("mine")).await;
        set(site, ListOwner::Tenant(site.tenant), deny("above")).await;
        let owner = site.owner().await;
        let some = [Scope::EventsPublish].into_iter().collect::<Scopes>();
        let plain = site.caller((site.tenant, site.project), some).await;
        let told = async |who: &Identity, topic: &str| {
            let refused = site.node.append(who, &name(topic), vec![record("k", "1")]).await;
            refused.expect_err("denied").message().to_owned()
        };
        assert!(told(&owner, "mine").await.contains("the entry `mine`"));
        assert!(!told(&plain, "mine").await.contains("entry"));
        let above = told(&owner, "above").await;
        assert!(above.contains("list of the tenant") && !above.contains("`above` of"), "{above}");
    });
}

#[test]
fn what_is_open_ends_with_a_reason_and_the_rest_goes_on() {
    on_shard(async |site| {
        let owner = site.owner().await;
        let (kept, ended, waiting) = (Outlet::new(99), Outlet::new(99), Outlet::new(99));
        let node = &site.node;
        let kept_it = node.follow(&owner, follow("a", From::Latest), SHARD, kept.clone()).await;
        let _kept = kept_it.expect("a subscription");
        let ended_it = node.follow(&owner, follow("b", From::Latest), SHARD, ended.clone()).await;
        let _ended = ended_it.expect("a subscription");
        let wild = node.follow(&owner, follow("#", From::Latest), SHARD, waiting.clone()).await;
        let _wild = wild.expect("a subscription");
        let poll = node.read(&owner, read("b", None, Duration::from_secs(60)));
        let change = async {
            tokio::task::yield_now().await;
            set(
                site,
                own(site),
                json!({"entries": [{"id": "a", "effect": "allow",
                "principals": ["*"], "operations": ["subscribe", "publish"],
                "topic": {"literal": "a"}}]}),
            )
            .await;
            // The poll hears of a record, and is not given it.
            let platform = site.authenticator.platform(site.project).await.expect("platform");
            site.publish(&platform, "b", vec![record("k", "secret")]).await;
        };
        let (polled, ()) = tokio::join!(poll, change);
        assert_eq!(code(polled), FORBIDDEN);
        for outlet in [&ended, &waiting] {
            let mut news = Vec::new();
            while !news.iter().any(|it: &String| it == "ended ADDRESS_FORBIDDEN") {
                news.extend(outlet.news());
                tokio::task::yield_now().await;
            }
        }
        // What came before their end was theirs; nothing comes after it.
        ended.empty();
        waiting.empty();
        let platform = site.authenticator.platform(site.project).await.expect("platform");
        site.publish(&platform, "b", vec![record("k", "after")]).await;
        site.publish(&owner, "a", vec![record("k", "on")]).await;
        assert_eq!(values(&collect(&kept, 1).await), ["on"]);
        assert!(ended.empty().is_empty() && waiting.empty().is_empty());
    });
}

#[test]
fn what_was_allowed_at_some_hours_ends_with_them() {
    on_shard(async |site| {
        let owner = site.owner().await;
        // The clock stands at midnight, or where the tests before have turned it to.
        let minute = site.clock.now_ms() / 60_000 % 1_440;
        let time = |minute: i64| format!("{:02}:{:02}", minute % 1_440 / 60, minute % 60);
        let times = json!([{"from": time(minute), "to": time(minute + 2)}]);
        set(
            site,
            own(site),
            json!({"entries": [{"id": "a", "effect": "allow",
            "principals": ["*"], "operations": ["subscribe"], "topic": {"literal": "a"},
            "when": {"times": times}}]}),
        )
        .await;
        let outlet = Outlet::new(9);
        let follow = || site.node.follow(&owner, follow("a", From::Latest), SHARD, outlet.clone());
        let _held = follow().await.expect("in time");
        site.node.review().await;
        tokio::task::yield_now().await;
        assert!(!outlet.news().contains(&"ended ADDRESS_FORBIDDEN".to_owned()));
        site.clock.advance(Duration::from_secs(120));
        site.node.review().await;
        let mut news = outlet.news();
        while !news.contains(&"ended ADDRESS_FORBIDDEN".to_owned()) {
            tokio::task::yield_now().await;
            news.extend(outlet.news());
        }
        assert_eq!(code(follow().await), FORBIDDEN);
    });
}

#[test]
fn without_lists_nothing_changes_and_removing_one_undoes_it() {
    on_shard(async |site| {
        let owner = site.owner().await;
        site.publish(&owner, "t", vec![record("k", "1")]).await;
        set(site, own(site), json!({"entries": []})).await;
        let refused = site.node.append(&owner, &name("t"), vec![record("k", "2")]).await;
        assert_eq!(code(refused), FORBIDDEN, "an empty list allows nothing");
        set(site, own(site), Value::Null).await;
        site.publish(&owner, "t", vec![record("k", "3")]).await;
    });
}
