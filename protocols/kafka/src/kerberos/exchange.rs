//! SASL GSSAPI (RFC 4752) as a server takes part in it, one message at a time. No library: what a
//! token is worth a `Context` says. No security layer is offered, as Kafka offers none: TLS is
//! there for that.
//!
//! ```text
//! client  a token, with the ticket               until the context is established
//! server  a token, or nothing to send
//! client  nothing                                where the server sent one
//! server  1, 0 0 0, wrapped                      layer "none" is all there is, so no sizes
//! client  1, 0 0 0, authorization id, wrapped
//! ```

use std::time::Duration;

/// Tokens of a client until its context is established. Kerberos needs one, or two.
const TOKENS_MAX: usize = 8;
/// Bytes of a token: tickets of large directories have up to 64 KiB.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// The bit that stands for no security layer.
const NO_LAYER: u8 = 1;
/// A layer and the bytes that its side can take.
const LAYER_BYTES: usize = 4;

/// The accepting side of a security context (RFC 2743). Its calls may block.
pub trait Context: Send {
    /// Takes a client's token; answers ours for it, where there is one.
    fn accept(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, Failed>;

    fn is_established(&self) -> bool;

    /// Our message with a proof that it is ours.
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed>;

    /// A client's message, proven to be its own.
    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed>;

    /// Whom an established context is with.
    fn client(&self) -> Result<Client, Failed>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// As libkrb5 writes it: `primary/instance@REALM`.
    pub principal: String,
    /// For how long its ticket counts.
    pub lifetime: Duration,
}

/// What the library says of a failure. For the log: it may say more than a stranger should hear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

/// Why a client's message leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    #[error("the ticket does not count here")]
    Ticket(Failed),
    #[error("it is longer than {TOKEN_BYTES_MAX} bytes")]
    Long,
    #[error("it takes more than {TOKENS_MAX} messages")]
    Many,
    #[error("it is not what was asked for")]
    Form,
    #[error("no security layer is offered: take TLS for that")]
    Layer,
}

/// What the client has shown in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub client: Client,
    /// As whom it wants to be taken; empty: as itself.
    pub acting_for: String,
}

/// Whose turn it is.
pub enum Turn {
    /// The client is sent this and has to answer it.
    Asked(Exchange, Vec<u8>),
    Shown(Shown),
}

/// What the client has to send next.
enum Awaited {
    Token,
    /// Nothing: it has got our last token.
    Nothing,
    Layer,
}

/// A sign-in half way.
pub struct Exchange {
    context: Box<dyn Context>,
    awaited: Awaited,
    /// How many tokens there were.
    tokens: usize,
}

impl Exchange {
    pub fn new(context: Box<dyn Context>) -> Exchange {
        Exchange { context, awaited: Awaited::Token, tokens: 0 }
    }

    /// Takes a client's next message.
    ///
    /// # Errors
    /// When it leads nowhere. There is no going on.
    pub fn take(self, message: &[u8]) -> Result<Turn, Bad> {
        if message.len() > TOKEN_BYTES_MAX {
            return Err(Bad::Long);
        }
        match self.awaited {
            Awaited::Token => self.take_token(message),
            Awaited::Nothing if message.is_empty() => self.offer(),
            Awaited::Nothing => Err(Bad::Form),
            Awaited::Layer => self.take_layer(message),
        }
    }

    fn take_token(mut self, token: &[u8]) -> Result<Turn, Bad> {
        self.tokens += 1;
        if self.tokens > TOKENS_MAX {
            return Err(Bad::Many);
        }
        let answer = self.context.accept(token).map_err(Bad::Ticket)?;
        if !self.context.is_established() {
            return Ok(Turn::Asked(self, answer.unwrap_or_default()));
        }
        match answer.filter(|answer| !answer.is_empty()) {
            Some(answer) => {
                self.awaited = Awaited::Nothing;
                Ok(Turn::Asked(self, answer))
            }
            None => self.offer(),
        }
    }

    fn offer(mut self) -> Result<Turn, Bad> {
        let offered = self.context.wrap(&[NO_LAYER, 0, 0, 0]).map_err(Bad::Ticket)?;
        self.awaited = Awaited::Layer;
        Ok(Turn::Asked(self, offered))
    }

    /// The RFC wants zeros for the size of what the client can take; nothing depends on it without
    /// a layer, so it is not looked at.
    fn take_layer(mut self, message: &[u8]) -> Result<Turn, Bad> {
        let chosen = self.context.unwrap(message).map_err(Bad::Ticket)?;
        let (layer, acting_for) = chosen.split_at_checked(LAYER_BYTES).ok_or(Bad::Form)?;
        if layer.first() != Some(&NO_LAYER) {
            return Err(Bad::Layer);
        }
        let acting_for = std::str::from_utf8(acting_for).map_err(|_| Bad::Form)?.to_owned();
        let client = self.context.client().map_err(Bad::Ticket)?;
        Ok(Turn::Shown(Shown { client, acting_for }))
    }
}
