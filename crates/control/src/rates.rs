//! How often one may ask the admin API: per client address before anything is looked up, per
//! principal once it is known. It must not know who may ask what.

use parking_lot::Mutex;
use port::{RateState, Refusal};
use rules::{Bound, Rate, RateTable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use stdx::Clock;

/// Limiters held at a time; those that owe nothing are forgotten first.
const LIMITERS_MAX: usize = 65_536;
/// A client of IPv6 has 64 bits of addresses for itself.
const NETWORK_BITS: u32 = 64;

/// How often one may ask the admin API. Answers carry `RateLimit-Limit`, `RateLimit-Remaining` and
/// `RateLimit-Reset`; refusals (429) `Retry-After`. May be changed while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateSettings {
    /// Requests per second of one operator or user, twice as many at once; 0 sets no limit.
    pub principal_per_second_max: u32,
    /// Requests per second of one client address (of IPv6: one /64 network), twice as many at
    /// once; 0 sets no limit.
    pub address_per_second_max: u32,
}

impl Default for RateSettings {
    fn default() -> RateSettings {
        RateSettings { principal_per_second_max: 500, address_per_second_max: 1_000 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Principal(String),
}

struct State {
    settings: RateSettings,
    table: RateTable<Who>,
}

/// Shared by all requests, and with who changes the settings.
pub struct Rates {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

impl Rates {
    pub fn new(settings: RateSettings, clock: Arc<dyn Clock>) -> Rates {
        let table = RateTable::new(LIMITERS_MAX);
        Rates { state: Mutex::new(State { settings, table }), clock }
    }

    /// In force for the next request; what was taken before stays taken.
    pub fn set(&self, settings: RateSettings) {
        self.state.lock().settings = settings;
    }

    /// Takes one request of the address; `None` without a limit.
    pub(crate) fn take_address(&self, address: IpAddr) -> Result<Option<RateState>, Refusal> {
        let who = Who::Address(network(address));
        self.take(who, "admin.rate.address_per_second_max")
    }

    /// Takes one request of whom the audit trail would name; `None` without a limit.
    pub(crate) fn take_principal(&self, principal: &str) -> Result<Option<RateState>, Refusal> {
        let who = Who::Principal(principal.to_owned());
        self.take(who, "admin.rate.principal_per_second_max")
    }

    fn take(&self, who: Who, name: &'static str) -> Result<Option<RateState>, Refusal> {
        let mut state = self.state.lock();
        let per_second = match who {
            Who::Address(_) => state.settings.address_per_second_max,
            Who::Principal(_) => state.settings.principal_per_second_max,
        };
        if per_second == 0 {
            return Ok(None);
        }
        let rate = Rate { per_second, burst: per_second.saturating_mul(2) };
        let bound = Bound { key: who, rate, name };
        state.table.check(&bound, 1, self.clock.monotonic()).map(Some)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(whole) => match whole.to_ipv4_mapped() {
            Some(inner) => IpAddr::V4(inner),
            None => IpAddr::V6((whole.to_bits() >> NETWORK_BITS << NETWORK_BITS).into()),
        },
    }
}
