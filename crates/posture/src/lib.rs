//! How well an installation is set up: a catalogue of checks over its configuration, the records of
//! its control plane and its running process, as pure functions over facts that others gather. It
//! must not read a file, a table or a clock, nor know who may see a finding.
#![forbid(unsafe_code)]

mod activity;
mod catalogue;
mod certificate;
mod check;
mod configuration;
mod people;
mod records;
mod running;
#[cfg(test)]
mod tests;

pub use activity::{
    Activity, Anomaly, AnomalyRule, Event, LIST_MAX, Line, Outcome, Past, RULES, Totals, activity,
    anomalies, rule,
};
pub use catalogue::{check, checks, reference};
pub use certificate::not_after_ms;
pub use check::{Area, Check, Counts, Finding, Severity};
pub use configuration::{
    Config, Encryption, Listener, Mail, Secret, Tls, findings as of_configuration,
};
pub use people::{Person, Role, Standing, findings as of_people};
pub use records::{Key, List, Records, SigningKey, Webhook, findings as of_records};
pub use running::{Clocks, Running, findings as of_running};
