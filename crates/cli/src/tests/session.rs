//! The file of a session: who may read it, and that half a file is none.

use crate::session::{Keep, Session};
use std::os::unix::fs::PermissionsExt;

fn session() -> Session {
    Session {
        server: "http://localhost:8081".to_owned(),
        email: "ann@example.org".to_owned(),
        access_token: "mss_a".to_owned(),
        access_expires_at: i64::MAX,
        refresh_token: "msr_a".to_owned(),
    }
}

#[test]
fn a_session_is_its_owners_only_and_forgotten_on_wish() {
    let dir = tempfile::tempdir().expect("a folder");
    let keep = Keep::in_folder(&dir.path().join("mainstem"));
    assert_eq!(keep.load(), None);
    keep.forget().expect("nothing to forget");
    keep.save(&session()).expect("saved");
    assert_eq!(keep.load(), Some(session()));
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&keep.file()), 0o600);
    assert_eq!(mode(&dir.path().join("mainstem")), 0o700);
    let device = keep.device().expect("made");
    assert_eq!((device.len(), keep.device().expect("known")), (48, device.clone()));
    assert_eq!(mode(&dir.path().join("mainstem/device")), 0o600);
    std::fs::write(keep.file(), "{\"server\":").expect("half");
    assert_eq!(keep.load(), None);
    keep.forget().expect("forgotten");
    assert!(!keep.file().exists());
}

#[tokio::test]
async fn a_token_that_counts_is_taken_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let keep = Keep::in_folder(dir.path());
    assert!(keep.fresh().await.expect_err("nobody").contains("mainstem login"));
    keep.save(&session()).expect("saved");
    assert_eq!(keep.fresh().await, Ok(session()));
}

#[test]
fn an_answer_without_tokens_is_no_session() {
    let answer = serde_json::json!({"user": {"email": "ann@example.org"}});
    assert!(Session::from_tokens("http://localhost", &answer).is_err());
}
