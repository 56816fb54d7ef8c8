//! How a connection is secured, and how it says who it is.

mod sasl;
pub(crate) mod scram;
mod tls;

pub(crate) use sasl::{Proof, SignIn, begin};
pub(crate) use tls::{connector, server_name};
