//! Bodies that are too long, or that end before their time.

use crate::read_body;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::Limited;
use port::Code;

/// A body in pieces, without a length announced.
fn pieces(pieces: &[Result<&'static str, &'static str>]) -> Body {
    let pieces: Vec<_> =
        pieces.iter().map(|piece| piece.map(Bytes::from).map_err(std::io::Error::other)).collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let read = read_body(pieces(&[Ok("abc"), Ok("de")]), 5).await;
    assert_eq!(read.expect("it is not too long"), "abcde");
    let refusal = read_body(pieces(&[Ok("abc"), Ok("def")]), 5).await.expect_err("too long");
    assert_eq!(refusal.code(), Code::PayloadTooLarge);
    assert!(refusal.hint_text().is_some_and(|hint| hint.contains('5')));
}

#[tokio::test]
async fn a_limit_around_the_body_is_a_limit_too() {
    let limited = Body::new(Limited::new(pieces(&[Ok("abc"), Ok("def")]), 5));
    // Layers wrap a body, and its errors, again.
    let wrapped = Body::new(limited);
    let refusal = read_body(wrapped, 100).await.expect_err("too long");
    assert_eq!(refusal.code(), Code::PayloadTooLarge);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_request() {
    let refusal = read_body(pieces(&[Ok("abc"), Err("reset")]), 100).await.expect_err("broken");
    assert_eq!(refusal.code(), Code::InvalidRequest);
}
