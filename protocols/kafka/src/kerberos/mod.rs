//! Kerberos (RFC 4120): who has a ticket for this service comes in as the key that his principal
//! stands for. `exchange` has the messages, `rules` the way from principals to keys, `library` the
//! tickets themselves, or `absent` in a build without the feature `gssapi`.

pub mod exchange;
#[cfg_attr(not(feature = "gssapi"), path = "absent.rs")]
mod library;
pub mod rules;
pub mod settings;

pub use library::is_here;

use exchange::{Bad, Context, Exchange, Shown, Turn};
use port::{Code, Peer, Refusal, Vouched, metric};
use rules::{Principal, Rules};
use std::sync::Arc;
use tokio::sync::Semaphore;
use types::{ProjectId, TimestampMs};

/// Messages of one listener's clients that are looked at at a time: the library reads the keytab
/// and writes down which tickets it has seen, so each has a thread meanwhile. Those that wait are
/// one for each connection at most, for as long as it has to sign in.
const AT_ONCE_MAX: usize = 8;

/// What this server is to Kerberos.
pub trait Service: Send + Sync {
    /// The context of a client that has not said anything yet.
    fn begin(&self) -> Box<dyn Context>;

    /// Our own realm, if this machine has one.
    fn realm(&self) -> Option<&str>;
}

/// Tickets on one listener.
pub struct Tickets {
    service: Box<dyn Service>,
    service_name: String,
    rules: Rules,
    projects: Vec<ProjectId>,
    places: Arc<Semaphore>,
}

impl Tickets {
    /// # Errors
    /// When a rule cannot be read, or there is no key of the service.
    pub fn open(settings: &settings::Kerberos) -> Result<Tickets, Refusal> {
        Tickets::of(library::open(settings)?, settings)
    }

    /// # Errors
    /// When a rule cannot be read.
    pub fn of(
        service: Box<dyn Service>,
        settings: &settings::Kerberos,
    ) -> Result<Tickets, Refusal> {
        Ok(Tickets {
            service,
            service_name: settings.service_name.clone(),
            rules: Rules::parse(&settings.principals)?,
            projects: settings.projects.clone(),
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        })
    }

    /// Takes a client's next message; `asked` is what it was asked before, if it was.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub async fn take(
        &self,
        peer: &Peer,
        asked: Option<Exchange>,
        message: &[u8],
    ) -> Result<Turn, Refusal> {
        let exchange = asked.unwrap_or_else(|| Exchange::new(self.service.begin()));
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (place, message) =
            (place.map_err(|error| Refusal::internal(&error))?, message.to_vec());
        let looking = tokio::task::spawn_blocking(move || {
            let turn = exchange.take(&message);
            drop(place);
            turn
        });
        let turn = looking.await.map_err(|error| Refusal::internal(&error))?;
        turn.map_err(|bad| {
            if let Bad::Ticket(failed) = &bad {
                tracing::info!(peer = %peer.address, %failed, "a ticket does not count");
            }
            told(Code::InvalidToken, &bad.to_string())
        })
    }

    /// Which key a client stands for until its ticket ends.
    ///
    /// # Errors
    /// When it stands for none, or wants to be somebody else.
    pub fn vouched(
        &self,
        peer: &Peer,
        shown: &Shown,
        now: TimestampMs,
    ) -> Result<Vouched, Refusal> {
        let Shown { client, acting_for } = shown;
        let principal = Principal::parse(&client.principal);
        let named = principal.and_then(|principal| {
            Some((self.rules.name(&principal, self.service.realm())?, principal))
        });
        let Some((name, principal)) = named else {
            let (peer, principal) = (peer.address, &client.principal);
            tracing::info!(%peer, principal, "no rule makes a key's id of the principal");
            return Err(told(Code::InvalidToken, "the ticket's principal stands for no key here"));
        };
        if !self.is_itself(acting_for, &principal, &name) {
            return Err(told(Code::InvalidToken, "nobody acts for somebody else here"));
        }
        let lifetime_ms = i64::try_from(client.lifetime.as_millis()).unwrap_or(i64::MAX);
        let ends_at = now.saturating_add(lifetime_ms);
        Ok(Vouched { name, projects: self.projects.clone(), ends_at })
    }

    /// Whether an authorization id says no more than the ticket does. `kafka-python` names the
    /// service that it came to where its own name belongs.
    fn is_itself(&self, acting_for: &str, principal: &Principal, name: &str) -> bool {
        let is_service = |text: &str| {
            let host = text.strip_prefix(&*self.service_name);
            host.is_some_and(|host| host.starts_with(['@', '/']))
        };
        acting_for.is_empty()
            || acting_for == principal.to_string()
            || acting_for == principal.name()
            || acting_for == name
            || is_service(acting_for)
    }
}

/// Counted as credentials are that do not count: of a bad ticket the platform never hears.
fn told(code: Code, why: &str) -> Refusal {
    metrics::counter!(metric::AUTH_FAILURES, "code" => code.name()).increment(1);
    Refusal::new(code, format!("SASL GSSAPI: {why}"))
}
