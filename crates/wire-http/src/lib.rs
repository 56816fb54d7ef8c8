//! What every face that speaks HTTP and JSON shares: the one error body, credentials, strict
//! bodies and queries, and the JSON form of a record in both directions. It must not know a single
//! route: those belong to the protocols, and the sockets belong to the edge.
#![forbid(unsafe_code)]

pub mod address;
pub mod body;
pub mod caller;
pub mod credential;
pub mod json;
pub mod param;
pub mod presence;
pub mod publish;
pub mod query;
pub mod refusal;
pub mod scan;
pub mod schema;
mod strict;
pub mod text;
pub mod trace;
pub mod view;

#[cfg(test)]
mod tests;

pub use address::TopicPath;
pub use body::read_body;
pub use caller::{Caller, StreamCaller};
pub use credential::{TokenPlace, credential};
pub use json::{StrictJson, parse_json};
pub use param::{parse_from, parse_wait};
pub use publish::{Publish, PublishView, parse_publishes};
pub use query::{StrictQuery, parse_query};
pub use refusal::{Rejection, error_body, refusal_response, status_of, write_error};
pub use view::{JsonForm, write_placed, write_record};
