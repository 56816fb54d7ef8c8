//! Who are you: API keys, tokens and operators, proven once and turned into `port::Identity`. The
//! only crate of the engine that may mint one. It must not know a protocol, a topic or the log;
//! what a proven identity may do is decided by `rules`, who is known is kept by `tenancy`.
#![forbid(unsafe_code)]

mod access;
pub mod api_key;
pub mod authenticator;
mod cache;
pub mod directory;
mod gate;
pub mod grant_text;
pub mod jwks;
pub mod jwks_target;
mod key_check;
mod lists;
mod liveness;
pub mod oidc;
pub mod operator;
pub mod people;
mod projects;
pub mod refusal;
mod revocations;
mod scram;
pub mod secrets;
pub mod settings;
pub mod signing;
mod snapshot;
pub mod token;
pub mod token_check;

pub use access::{own_rights, own_rights_to_name};
pub use api_key::{ApiKeyText, Environment, NewApiKey};
pub use authenticator::{Authenticator, SeenToken, TokenTimes};
pub use directory::Directory;
pub use oidc::{OidcClient, OidcSettings};
pub use operator::OperatorTokens;
pub use people::{Absent, People, PeopleParts, PeopleSettings, Person};
pub use revocations::fingerprint;
pub use scram::ITERATIONS as SCRAM_ITERATIONS;
pub use secrets::{Sealer, Secrets};
pub use settings::Settings;
pub use signing::{Algorithm, NewToken, SigningKey};
pub use snapshot::ProjectSnapshot;

#[cfg(test)]
mod tests;
