//! Reading and following from where a consumer stands, and committing how far one has come.

use super::{Worker, address, config, on_node, texts};
use crate::tests::{name, record};
use port::consumers::Verdict;
use port::{Code, Hub, ReadRequest, Refusal};
use std::time::Duration;
use types::consumer::Ordering;
use types::{ConsumerConfig, ConsumerName, From, TopicConfig};

fn request(consumer: &str) -> ReadRequest {
    ReadRequest {
        topic: name("orders"),
        from: From::Consumer(ConsumerName::parse(consumer).expect("a name")),
        key: None,
        last: None,
        limit: 100,
        wait: Duration::ZERO,
    }
}

impl Worker<'_> {
    /// The values from where the consumer stands, with the cursor after each.
    async fn stream(&self) -> Vec<(String, String)> {
        let answer = self.site.node.read(&self.who, request("mail")).await.expect("read");
        let seen = |one: &std::sync::Arc<port::Delivery>| {
            let value = one.record.value.as_deref().unwrap_or_default();
            let cursor = one.cursor();
            (String::from_utf8_lossy(value).into_owned(), cursor)
        };
        answer.records.iter().map(seen).collect()
    }

    async fn commit(&self, cursors: &[&str]) -> Result<u64, Refusal> {
        let cursors = cursors.iter().map(|&cursor| cursor.to_owned()).collect();
        let info = self.all().commit(&self.who, &self.at, cursors).await?;
        Ok(info.partitions[0].committed)
    }
}

#[test]
fn what_is_committed_is_not_streamed_again() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a", "b", "c"]).await;
        let seen = worker.stream().await;
        assert_eq!(seen.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(worker.stream().await, seen, "nothing was committed");
        assert_eq!(worker.commit(&[&seen[1].1]).await, Ok(2));
        assert_eq!(worker.stream().await, seen[2..]);
        // Never back, and what is fetched goes on from there.
        assert_eq!(worker.commit(&[&seen[0].1]).await, Ok(2));
        assert_eq!(texts(&worker.fetch(9).await), ["c"]);
        assert_eq!(worker.commit(&[&seen[0].1, &seen[2].1]).await, Ok(3));
        assert_eq!(worker.info().await.pending, 0);
        worker.publish(&["d"]).await;
        assert_eq!(texts(&worker.fetch(9).await), ["d"]);
    });
}

#[test]
fn a_commit_acknowledges_what_others_hold_and_frees_what_waits_for_it() {
    on_node(async |site| {
        let ordered = ConsumerConfig { ordering: Ordering::Key, ..config() };
        let worker = Worker::new(site, 1, ordered).await;
        worker.publish(&["a", "b", "c"]).await;
        let held = worker.fetch(9).await;
        assert_eq!(texts(&held), ["a"], "one key, one record at a time");
        let seen = worker.stream().await;
        assert_eq!(worker.commit(&[&seen[1].1]).await, Ok(2));
        assert_eq!(texts(&worker.fetch(9).await), ["c"]);
        // The work on the first is done twice, which is said to nobody's harm.
        worker.acknowledge(&held).await;
        let again = worker.settle_all(&held, Verdict::Extend).await;
        assert_eq!(again[0].as_ref().map_err(Refusal::code), Err(Code::Conflict));
    });
}

#[test]
fn what_cannot_be_committed_is_refused() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a"]).await;
        let config = TopicConfig::default();
        site.node.put_topic(&worker.who, &name("others"), config).await.expect("a topic");
        site.publish(&worker.who, "others", vec![record("k", "x")]).await;
        let other = ReadRequest { topic: name("others"), from: From::Earliest, ..request("mail") };
        let foreign = site.node.read(&worker.who, other.clone()).await.expect("read").next_cursor;
        let field = |refusal: Refusal| refusal.field_name().map(str::to_owned);
        for cursors in [vec![], vec!["nonsense"], vec![foreign.as_str()]] {
            let refused = worker.commit(&cursors).await.expect_err("refused");
            assert_eq!(field(refused).as_deref(), Some("cursors"), "{cursors:?}");
        }
        let missing = site.node.read(&worker.who, request("nobody")).await.expect_err("refused");
        assert_eq!(missing.code(), Code::NotFound);
        let elsewhere = ReadRequest { from: request("mail").from, ..other };
        let refused = site.node.read(&worker.who, elsewhere).await.expect_err("refused");
        assert_eq!(refused.code(), Code::NotFound, "consumers are of one topic");
        assert_eq!(worker.at, address("orders", "mail"));
    });
}
