//! The topic in a route's path, checked before a handler sees it. It must not ask whether the topic
//! exists.

use crate::refusal::Rejection;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use port::{Code, Refusal};
use types::TopicName;

/// The `{topic}` of the path.
#[derive(Debug, Clone)]
pub struct TopicPath(pub TopicName);

/// # Errors
/// `INVALID_TOPIC` with `field` when the text breaks the naming rule.
pub fn parse_topic(text: &str, field: impl Into<String>) -> Result<TopicName, Refusal> {
    TopicName::parse(text).map_err(|bad| {
        Refusal::new(Code::InvalidTopic, bad.to_string())
            .field(field)
            .hint("1 to 249 letters, digits, `.`, `_` and `-`, other than `.` and `..`")
    })
}

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<TopicPath, Rejection> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let parsed = match &params {
            Ok(params) => match params.iter().find(|(name, _)| *name == "topic") {
                Some((_, text)) => parse_topic(text, "topic"),
                None => Err(Refusal::internal(&"a route without {topic} asked for it")),
            },
            Err(_) => {
                Err(Refusal::new(Code::InvalidTopic, "the path is not UTF-8 text").field("topic"))
            }
        };
        parsed.map(TopicPath).map_err(|refusal| Rejection::new(parts, refusal))
    }
}
