//! A dump holds everything, goes into either database, and nothing that is not whole is taken.

use super::{Store, operator, postgres, sqlite};
use crate::{AuditFilter, DumpSize, Options, Tenancy, TenancyError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use types::{Limits, TopicConfig, TopicName};

async fn fill(store: &Store) {
    let (tenant, project) = store.scope("acme").await;
    store.new_project(tenant, "second", Limits::default()).await;
    let name = TopicName::parse("orders").expect("a name");
    let config = TopicConfig { partitions: 4, ..TopicConfig::default() };
    store.create_topic(tenant, project, &name, &config, &operator()).await.expect("a topic");
    let details = json!({"text": "\u{1F980} \"quoted\"\n", "nothing": null});
    store.note("node.test", "here", details, &operator()).await.expect("noted");
}

async fn dumped(tenancy: &Tenancy) -> (Vec<u8>, DumpSize) {
    let mut text = Vec::new();
    let size = tenancy
        .dump(&mut |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })
        .await
        .expect("a dump");
    (text, size)
}

/// In pieces that fit no line.
async fn loaded(options: &Options, text: &[u8]) -> crate::Result<DumpSize> {
    let mut pieces = text.chunks(7);
    Tenancy::load(options, &mut || Ok(pieces.next().map(<[u8]>::to_vec))).await
}

async fn reopened(options: &Options) -> Tenancy {
    let (clock, rng) = (ManualClock::shared(5), SeededRng::shared(9));
    Tenancy::connect(options, clock, rng).await.expect("it opens")
}

/// Rows have no order, nor have fields of a JSON value.
fn lines(text: &[u8]) -> Vec<String> {
    let sorted = |line: &str| sorted(serde_json::from_str(line).expect("JSON")).to_string();
    let mut lines: Vec<String> = String::from_utf8_lossy(text).lines().map(sorted).collect();
    lines.sort();
    lines
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            json!(fields)
        }
        other => other,
    }
}

#[tokio::test]
async fn a_dump_of_either_database_goes_into_either() {
    let source = sqlite().await;
    fill(&source).await;
    let (text, size) = dumped(&source).await;
    assert!(size.tables >= 12 && size.rows >= 8, "{size:?}");
    let dir = tempfile::tempdir().expect("a directory");
    let to_sqlite = Options::sqlite(&dir.path().join("restored.db"));
    assert_eq!(loaded(&to_sqlite, &text).await.expect("loads"), size);
    let restored = reopened(&to_sqlite).await;
    assert_eq!(lines(&dumped(&restored).await.0), lines(&text));
    let filter = AuditFilter { action: Some("node.test".into()), ..AuditFilter::default() };
    let noted = restored.audit_of_all_tenants(&filter, 10).await.expect("a trail");
    assert_eq!(noted.items[0].details["nothing"], json!(null));
    let Some(server) = tokio::task::spawn_blocking(testkit::postgres::server).await.expect("runs")
    else {
        return;
    };
    let url = tokio::task::spawn_blocking(|| server.database()).await.expect("a database");
    let to_postgres = Options::new(url);
    assert_eq!(loaded(&to_postgres, &text).await.expect("loads"), size);
    let restored = reopened(&to_postgres).await;
    let (back, _) = dumped(&restored).await;
    let again = Options::sqlite(&dir.path().join("again.db"));
    assert_eq!(loaded(&again, &back).await.expect("loads"), size);
    assert_eq!(lines(&dumped(&reopened(&again).await).await.0), lines(&text));
}

#[tokio::test]
async fn a_database_with_anything_in_it_is_not_loaded_into() {
    let source = sqlite().await;
    fill(&source).await;
    let (text, _) = dumped(&source).await;
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options::sqlite(&dir.path().join("used.db"));
    drop(reopened(&options).await);
    let refused = loaded(&options, &text).await.expect_err("not empty");
    assert!(matches!(refused, TenancyError::Conflict { .. }), "{refused}");
}

#[tokio::test]
async fn what_is_not_a_whole_dump_is_refused() {
    let source = sqlite().await;
    fill(&source).await;
    let text = String::from_utf8(dumped(&source).await.0).expect("text");
    let newer = text.replacen("m0001_records", "m9999_future", 1);
    let cut = &text[..text.len() - 3];
    let without_end = text.lines().take(text.lines().count() - 1);
    let without_end: String = without_end.map(|line| format!("{line}\n")).collect();
    let without_row: String = text
        .lines()
        .filter(|line| !line.contains("node.test"))
        .map(|line| format!("{line}\n"))
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let cases = ["", "{}\n", "nonsense\n", &newer, cut, &without_end, &without_row];
    for (number, case) in cases.into_iter().enumerate() {
        let options = Options::sqlite(&dir.path().join(format!("{number}.db")));
        let refused = loaded(&options, case.as_bytes()).await.expect_err("not whole");
        assert!(matches!(refused, TenancyError::Corrupt(_)), "case {number}: {refused}");
        let mut piece = Some(case.as_bytes().to_vec());
        Tenancy::check_dump(&mut || Ok(piece.take())).expect_err("not whole");
    }
    let mut piece = Some(text.into_bytes());
    Tenancy::check_dump(&mut || Ok(piece.take())).expect("whole");
}

#[tokio::test]
async fn a_dump_is_one_moment_while_others_write() {
    for store in [Some(sqlite().await), postgres().await].into_iter().flatten() {
        let store = Arc::new(store);
        fill(&store).await;
        let writing = Arc::clone(&store);
        let writer = tokio::spawn(async move {
            for number in 0..40 {
                writing.scope(&format!("tenant-{number}")).await;
            }
        });
        for _ in 0..5 {
            let (text, _) = dumped(&store).await;
            let dir = tempfile::tempdir().expect("a directory");
            // Foreign keys are checked: a project without its tenant would be refused.
            let options = Options::sqlite(&dir.path().join("restored.db"));
            loaded(&options, &text).await.expect("consistent");
        }
        writer.await.expect("writes");
    }
}
