//! The relying side of OpenID Connect (Core 1.0, Discovery 1.0): what a provider says of itself,
//! codes against ID tokens, and whether an ID token is to be believed. A provider is a stranger
//! whom somebody named: nothing of it is read without a limit of size and time. It must not know
//! users, nor what an ID token is good for.

pub mod client;
pub mod discovery;
pub mod id_token;
pub mod settings;
#[cfg(test)]
mod tests;

pub use client::OidcClient;
pub use discovery::Discovery;
pub use id_token::{Expected, IdClaims};
pub use settings::OidcSettings;
