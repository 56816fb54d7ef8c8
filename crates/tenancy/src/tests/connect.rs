//! Opening: migrations, waiting for a database that is not there yet, refusals told right.

use super::{open, operator, postgres, sqlite};
use crate::{Actor, Options, Tenancy, TenancyError};
use port::{Code, Refusal};
use std::time::Duration;
use stdx::backoff::Backoff;
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use types::TopicConfig;

fn impatient(url: &str) -> Options {
    let backoff = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) };
    Options { attempts_max: 3, backoff, ..Options::new(url) }
}

async fn try_open(options: &Options) -> crate::Result<Tenancy> {
    Tenancy::connect(options, ManualClock::shared(0), SeededRng::shared(1)).await
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    let store = open(&options, None).await;
    let (tenant, project) = store.scope("a").await;
    store.tenancy.close().await.unwrap();
    let store = open(&options, None).await;
    assert_eq!(store.standing(tenant, project).await.unwrap().1.name, "a");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn opening_twice_migrates_once() {
    let Some(server) = testkit::postgres::server() else { return };
    let url = server.database();
    let first = open(&Options::new(&url), None).await;
    let (tenant, _) = first.scope("a").await;
    let second = open(&Options::new(&url), None).await;
    assert_eq!(second.tenant(tenant).await.unwrap().name, "a");
}

#[tokio::test]
async fn an_absent_database_is_waited_for_and_then_told() {
    let nowhere = tempfile::tempdir().unwrap();
    let url = format!("postgres://postgres@localhost/x?host={}", nowhere.path().display());
    let error = try_open(&impatient(&url)).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let refusal = Refusal::from(error);
    assert_eq!(refusal.code(), Code::DatabaseConnectionError);
    assert!(refusal.wait().is_some());
    assert!(!refusal.message().contains("localhost"), "{refusal}");
}

#[tokio::test]
async fn wrong_urls_are_refused_at_once() {
    for url in ["", "mysql://localhost/x", "sqlite:///nowhere/at/all/x.db", "nonsense"] {
        let error = try_open(&impatient(url)).await.unwrap_err();
        assert!(!error.is_retryable(), "{url}: {error:?}");
    }
    let Some(server) = testkit::postgres::server() else { return };
    let error = try_open(&impatient(&server.url("no_such_database"))).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn readers_go_on_while_a_writer_holds_the_database() {
    for store in [Some(sqlite().await), postgres().await].into_iter().flatten() {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let change = store.change(&by).await.unwrap();
        crate::projects::locked(&change, tenant, project).await.unwrap();
        assert_eq!(store.project(tenant, project).await.unwrap().id, project);
        drop(change);
        let name = types::TopicName::parse("t").unwrap();
        let config = TopicConfig::default();
        store.create_topic(tenant, project, &name, &config, &by).await.unwrap();
    }
}

#[test]
fn errors_are_told_without_the_databases_words() {
    let table = [
        (TenancyError::Unreachable("10.0.0.1".into()), Code::DatabaseConnectionError),
        (TenancyError::NotFound { what: "topic" }, Code::TopicNotFound),
        (TenancyError::NotFound { what: "key" }, Code::NotFound),
        (TenancyError::conflict("name", "taken"), Code::Conflict),
        (TenancyError::state("busy"), Code::Conflict),
        (TenancyError::LimitReached { what: "topics", max: 3 }, Code::ProjectLimitExceeded),
        (TenancyError::invalid("name", "bad"), Code::InvalidRequest),
        (TenancyError::RequestReused, Code::IdempotencyKeyReused),
        (TenancyError::Corrupt("row 10.0.0.1".into()), Code::Internal),
        (TenancyError::Database("row 10.0.0.1".into()), Code::Internal),
    ];
    for (error, code) in table {
        let refusal = Refusal::from(error.clone());
        assert_eq!(refusal.code(), code, "{error:?}");
        assert!(!refusal.message().contains("10.0.0.1"), "{refusal}");
    }
    assert_eq!(Actor::system().as_str(), "system");
}
