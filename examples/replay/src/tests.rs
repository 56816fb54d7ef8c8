//! Reading, pacing and the reaction to answers, without a network.

use crate::credentials;
use crate::dataset::{Event, earthquakes, flights};
use crate::pace::{BATCH_RECORDS_MAX, Pace, Step};
use crate::publish::{Verdict, body, verdict};
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;

fn event(at_ms: i64) -> Event {
    Event { at_ms, id: at_ms.to_string(), key: "a/b".to_owned(), data: json!({}) }
}

#[test]
fn an_earthquake_is_read() {
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature","id":"ci1",
        "properties":{"mag":2.5,"place":"4km W of Castaic, CA","time":1517966773840,"net":"ci",
        "code":"1","type":"earthquake","tsunami":0},
        "geometry":{"type":"Point","coordinates":[-118.6,34.4,26.4]}}]}"#;
    let events = earthquakes(text).unwrap();
    let [found] = events.as_slice() else { panic!("one event") };
    assert_eq!((found.at_ms, found.key.as_str()), (1_517_966_773_840, "ci/1"));
    assert_eq!(found.data["magnitude"], 2.5);
    assert_eq!(found.data["latitude"], 34.4);
}

#[test]
fn a_flight_is_read_with_the_places_of_its_airports() {
    let csv = "iata,name,city,state,country,latitude,longitude\n\
        LAX,\"Los Angeles, Intl\",Los Angeles,CA,USA,33.94,-118.4\nbroken line\n";
    let text = r#"[{"date":"2001/01/10 18:20","delay":-3,"distance":9,"origin":"LAX",
        "destination":"XXX"}]"#;
    let events = flights(text, csv).unwrap();
    let [found] = events.as_slice() else { panic!("one event") };
    assert_eq!((found.at_ms, found.key.as_str()), (979_150_800_000, "LAX/XXX"));
    assert_eq!(found.data["from"]["city"], "Los Angeles");
    assert_eq!(found.data["from"]["longitude"], -118.4);
    assert!(found.data["to"].is_null());
}

#[test]
fn damaged_data_is_refused_with_its_name() {
    assert!(earthquakes("{}").unwrap_err().contains("earthquakes"));
    let bad_date = r#"[{"date":"x","delay":0,"distance":0,"origin":"A","destination":"B"}]"#;
    assert!(flights(bad_date, "").unwrap_err().contains("flight 0"));
}

#[test]
fn events_are_due_at_their_pace() {
    let events = [event(1_000), event(1_000), event(11_000)];
    let mut pace = Pace::new(&events, 10.0);
    assert_eq!(pace.next(Duration::ZERO, u64::MAX), Step::Publish(&events[..2]));
    let early = pace.next(Duration::from_millis(900), u64::MAX);
    assert_eq!(early, Step::Wait(Duration::from_millis(100)));
    assert_eq!(pace.next(Duration::from_secs(1), u64::MAX), Step::Publish(&events[2..]));
    assert_eq!(pace.next(Duration::from_secs(1), u64::MAX), Step::Done);
}

#[test]
fn a_late_replay_catches_up_in_bounded_batches_and_keeps_the_limit() {
    let events: Vec<Event> = (0..1_200).map(event).collect();
    let mut pace = Pace::new(&events, 1.0);
    let late = Duration::from_secs(60);
    let mut sizes = Vec::new();
    while let Step::Publish(batch) = pace.next(late, u64::MAX) {
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [BATCH_RECORDS_MAX, BATCH_RECORDS_MAX, 200]);
    let mut pace = Pace::new(&events, 1.0);
    assert_eq!(pace.next(late, 7), Step::Publish(&events[..7]));
}

#[test]
fn answers_are_judged() {
    let judged = |status: u16, header| verdict(StatusCode::from_u16(status).unwrap(), header);
    assert_eq!(judged(200, None), Verdict::Done);
    assert_eq!(judged(429, Some("7")), Verdict::Again(Some(Duration::from_secs(7))));
    assert_eq!(judged(503, Some("86400")), Verdict::Again(Some(Duration::from_secs(60))));
    assert_eq!(judged(503, Some("tomorrow")), Verdict::Again(None));
    for status in [400, 401, 403, 413, 500] {
        assert_eq!(judged(status, Some("7")), Verdict::Refused);
    }
}

#[test]
fn the_development_credentials_are_read() {
    let text = r#"{"http_url":"http://127.0.0.1:8080","admin_url":"x","api_key":"ms_test_a"}"#;
    let expected = ("http://127.0.0.1:8080".to_owned(), "ms_test_a".to_owned());
    assert_eq!(credentials::parse(text), Some(expected));
    assert_eq!(credentials::parse("{}"), None);
}

#[test]
fn the_same_run_gives_the_same_ids() {
    let batch = [event(5)];
    let first = body("quakes", "monday", &batch);
    assert_eq!(first, body("quakes", "monday", &batch));
    assert_eq!(first[0]["id"], "quakes:monday:5");
    assert_ne!(first[0]["id"], body("quakes", "tuesday", &batch)[0]["id"]);
}
