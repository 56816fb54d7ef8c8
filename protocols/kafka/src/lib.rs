//! The Kafka protocol: unmodified clients produce to and consume from the topics of a project. A
//! project is a cluster of one broker; its topics are the topics, with the same keys, rights and
//! limits as over any other protocol.
//!
//! `wire-kafka` has the bytes; here `session` is one connection, `apis` what is answered to each
//! request, `groups` the coordinator of consumer groups. It must not know how the log stores.
#![forbid(unsafe_code)]

mod access;
mod apis;
mod call;
pub mod codec;
pub mod config;
mod coordination;
mod errors;
mod groups;
mod kerberos;
mod oversight;
mod pattern;
pub mod principal;
pub mod sasl;
pub mod scram;
mod session;
mod sign_in;
#[cfg(test)]
mod tests;
mod tokens;
mod transactions;

pub use config::{Config, Listener, SecurityAccess};
pub use wire_kafka::{assignments, messages, records, wire};

use call::Desk;
use codec::{FrameLimit, KafkaCodec, STRANGER_BYTES_MAX};
use config::Endpoint;
use kerberos::Tickets;
use oversight::Oversight;
use port::{ClientCertificates, Driver, Mounts, Protocol, Refusal, StreamMount};
use sasl::Mechanism;
use session::{Door, KafkaSession};
use sign_in::Voucher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of answers that wait for a client; no further request is read meanwhile.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

pub struct Kafka;

impl Protocol for Kafka {
    const NAME: &'static str = "kafka";
    type Config = Config;

    fn mount(config: Config, at: &mut Mounts) -> Result<(), Refusal> {
        config.check()?;
        let desk = Arc::new(Desk::new(config));
        for listener in &desk.config.listeners {
            at.stream(stream(&desk, listener)?)?;
        }
        at.groups = Some(Arc::new(Oversight(desk)));
        Ok(())
    }
}

fn stream(desk: &Arc<Desk>, listener: &Listener) -> Result<StreamMount, Refusal> {
    let advertised = listener.advertised.as_deref().map(Endpoint::parse).transpose()?;
    let told = advertised.clone();
    let mechanisms: Arc<[Mechanism]> = listener.mechanisms.as_slice().into();
    let voucher = listener.client_certificates.as_ref().map(Voucher::new).transpose()?;
    let (voucher, security) = (voucher.map(Arc::new), listener.security);
    let tickets = listener.kerberos.as_ref().map(Tickets::open).transpose()?.map(Arc::new);
    let desk = Arc::clone(desk);
    let idle_max = Duration::from_millis(desk.config.idle_ms_max);
    Ok(StreamMount {
        protocol: Kafka::NAME,
        listen: listener.listen,
        is_tls: listener.tls,
        client_certificates: listener.client_certificates.as_ref().map(|of| ClientCertificates {
            ca: of.ca.clone(),
            revoked: of.revoked.clone(),
            is_required: of.required,
        }),
        waiting_bytes_max: WAITING_BYTES_MAX,
        idle_max,
        on_bound: Arc::new(move |address| say_advertised(address, told.as_ref())),
        factory: Arc::new(move |start| {
            let limit = FrameLimit::new(STRANGER_BYTES_MAX);
            let advertised = advertised.clone().unwrap_or_else(|| start.local.into());
            let (mechanisms, voucher) = (Arc::clone(&mechanisms), voucher.clone());
            let tickets = tickets.clone();
            let door = Door { advertised, mechanisms, voucher, tickets, security };
            let session = KafkaSession::new(Arc::clone(&desk), start, door, limit.clone());
            Box::new(Driver::new(session, KafkaCodec::new(limit)))
        }),
    })
}

/// Clients connect to what the broker tells them, wherever they have asked: if that is wrong, they
/// hang after their first question, so it is said at the start.
fn say_advertised(address: SocketAddr, advertised: Option<&Endpoint>) {
    let Some(Endpoint { host, port }) = advertised else {
        tracing::info!(%address, "Kafka clients are told to connect to the address they came to");
        return;
    };
    match std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), *port)) {
        Ok(found) => {
            let found: Vec<SocketAddr> = found.collect();
            tracing::info!(%address, host, port, ?found, "Kafka clients are told to connect here");
        }
        Err(error) => tracing::warn!(
            %address, host, port, %error,
            "Kafka clients are told to connect to a name that this machine does not know"
        ),
    }
}
