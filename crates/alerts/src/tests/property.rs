//! Property 28, over the rules that every installation has.

use crate::built_in;
use crate::engine::{Open, Telling};
use crate::reading::{Past, Reading};
use crate::scrape::samples;
use crate::terms::Source;
use port::metric;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tenancy::{Alert, AlertId, AlertRule, AlertRuleId, Severity};

/// Something that goes wrong, or looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    LogFailed,
    DiskLow,
    DiskFull,
    KeyRing,
    InternalError,
    DatabaseDown,
    StorageFull,
    DamagedRecords,
    Overload,
    SlowDisk,
    FailedBackup,
    StuckOutbox,
    LostShipping,
    StuckStripe,
    RestingEndpoints,
    Guessing,
    UnknownDevice,
    ThrottledAccount,
    NearBudget,
    Shredding,
}

use Trouble as T;
const ALL: [Trouble; 20] = [
    T::LogFailed,
    T::DiskLow,
    T::DiskFull,
    T::KeyRing,
    T::InternalError,
    T::DatabaseDown,
    T::StorageFull,
    T::DamagedRecords,
    T::Overload,
    T::SlowDisk,
    T::FailedBackup,
    T::StuckOutbox,
    T::LostShipping,
    T::StuckStripe,
    T::RestingEndpoints,
    T::Guessing,
    T::UnknownDevice,
    T::ThrottledAccount,
    T::NearBudget,
    T::Shredding,
];

impl Trouble {
    /// What is lost, or stands still, needs somebody now; what is slower or suspicious needs
    /// somebody soon; the rest is worth knowing.
    fn fitting(self) -> Severity {
        match self {
            T::LogFailed
            | T::DiskFull
            | T::KeyRing
            | T::InternalError
            | T::DatabaseDown
            | T::StorageFull
            | T::DamagedRecords
            | T::FailedBackup
            | T::LostShipping
            | T::StuckStripe
            | T::Shredding => Severity::Critical,
            T::DiskLow
            | T::Overload
            | T::SlowDisk
            | T::StuckOutbox
            | T::Guessing
            | T::UnknownDevice
            | T::ThrottledAccount => Severity::Warning,
            T::RestingEndpoints | T::NearBudget => Severity::Info,
        }
    }

    /// What the audit trail tells of it, if it is there that it is seen.
    fn action(self) -> Option<&'static str> {
        match self {
            T::UnknownDevice => Some("session.suspect"),
            T::ThrottledAccount => Some("session.throttle"),
            T::NearBudget => Some("usage.warn"),
            T::Shredding => Some("tenant_key.shred"),
            _ => None,
        }
    }
}

/// The figures of a node, `looks` looks after the troubles began.
fn figures(troubles: &BTreeSet<Trouble>, looks: u32, busy: u32) -> String {
    let has = |trouble| troubles.contains(&trouble);
    let one = |trouble| u32::from(has(trouble));
    let free = if has(T::DiskFull) {
        0.01
    } else if has(T::DiskLow) {
        0.1
    } else {
        0.6
    };
    let count = |trouble, per_look: u32| one(trouble) * looks * per_look;
    let requests = busy * (looks + 1);
    let slow = count(T::SlowDisk, 100 * busy.max(1));
    let fast = if has(T::SlowDisk) { 0 } else { requests };
    let append = metric::APPEND_SECONDS;
    let mut text = String::new();
    let mut line = |name: &str, labels: &str, value: String| {
        text.push_str(&format!("{name}{labels} {value}\n"));
    };
    line(metric::LOG_FAILED, "", one(T::LogFailed).to_string());
    line(metric::DISK_FREE_RATIO, "", free.to_string());
    line(metric::KEYS_FAILED, "", one(T::KeyRing).to_string());
    let refused = |code: &str| format!("{{code=\"{code}\"}}");
    line(metric::REFUSALS, &refused("INTERNAL"), count(T::InternalError, 1).to_string());
    let down = count(T::DatabaseDown, 3).to_string();
    line(metric::REFUSALS, &refused("DATABASE_CONNECTION_ERROR"), down);
    line(metric::REFUSALS, &refused("STORAGE_FULL"), count(T::StorageFull, 2).to_string());
    line(metric::REFUSALS, &refused("LOG_DAMAGED"), count(T::DamagedRecords, 1).to_string());
    line(metric::REFUSALS, &refused("OVERLOADED"), count(T::Overload, 1_500).to_string());
    line(metric::REFUSALS, &refused("INVALID_REQUEST"), requests.to_string());
    line(&format!("{append}_bucket"), "{le=\"0.01\"}", fast.to_string());
    line(&format!("{append}_bucket"), "{le=\"1\"}", fast.to_string());
    line(&format!("{append}_bucket"), "{le=\"+Inf\"}", (fast + slow).to_string());
    line(metric::BACKUP_FAILURES, "", count(T::FailedBackup, 1).to_string());
    let age = if has(T::StuckOutbox) { 500 } else { 0 };
    line(metric::OUTBOX_AGE_SECONDS, "", age.to_string());
    let lost = count(T::LostShipping, 5).to_string();
    line(metric::AUDIT_SHIP_LOST, "{sink=\"siem\"}", lost);
    line(metric::STRIPE_REPORTS, "{state=\"stuck\"}", one(T::StuckStripe).to_string());
    line(metric::STRIPE_REPORTS, "{state=\"pending\"}", busy.to_string());
    line(metric::WEBHOOK_BREAKERS_OPEN, "", one(T::RestingEndpoints).to_string());
    line(metric::AUTH_FAILURES, "{code=\"INVALID_API_KEY\"}", count(T::Guessing, 900).to_string());
    text
}

struct Watching {
    rules: Vec<(AlertRule, crate::Terms)>,
    open: Open,
    past: Past,
    ids: u128,
    told: Vec<(Alert, Telling)>,
}

impl Watching {
    fn new() -> Watching {
        let rule = |(number, rule): (usize, crate::BuiltIn)| {
            let id = format!("alr_{:032x}", number + 1).parse::<AlertRuleId>().expect("an id");
            let known = AlertRule {
                id,
                name: rule.id.to_owned(),
                built_in: Some(rule.id.to_owned()),
                terms: serde_json::Value::Null,
                severity: rule.severity,
                is_enabled: true,
                created_at: 0,
                updated_at: 0,
            };
            (known, rule.terms)
        };
        let rules = built_in().into_iter().enumerate().map(rule).collect();
        let (open, past) = (Open::default(), Past::default());
        Watching { rules, open, past, ids: 0, told: Vec::new() }
    }

    fn look(&mut self, text: &str, actions: &[&str], now_s: i64) {
        let samples = samples(text, |_| true);
        let now = now_s * 1_000;
        let Watching { rules, open, past, ids, told } = self;
        for (rule, terms) in rules.iter() {
            let readings = match &terms.source {
                Source::Metric(metric) => past.read(rule.id, metric, &samples, now),
                Source::Event(event) => {
                    let of = actions.iter().filter(|action| **action == event.action);
                    let labels = BTreeMap::from([("action".to_owned(), event.action.clone())]);
                    let value = of.count() as f64;
                    vec![Reading { labels, value }]
                }
            };
            let mut new_id = || {
                *ids += 1;
                Some(format!("alt_{:032x}", *ids).parse::<AlertId>().expect("an id"))
            };
            told.extend(open.judge((rule, terms), &readings, &[], now, &mut new_id).telling);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// **Feature: realtime-saas-platform, Property 28: each error or anomaly raises an alert of
    /// fitting severity**
    ///
    /// Whatever goes wrong together, each trouble raises an alert whose severity fits it, told once
    /// however long it lasts; a node where nothing is wrong raises none; and what is over is told
    /// as resolved.
    #[test]
    fn each_trouble_raises_an_alert_of_fitting_severity(
        chosen in prop::collection::btree_set(0..ALL.len(), 0..6),
        busy in 0..500_u32,
        quiet_looks in 1..5_i64,
    ) {
        let troubles: BTreeSet<Trouble> = chosen.into_iter().map(|at| ALL[at]).collect();
        let mut watching = Watching::new();
        let mut now = 0;
        for _ in 0..quiet_looks {
            watching.look(&figures(&BTreeSet::new(), 0, busy), &[], now);
            now += 15;
        }
        prop_assert!(watching.told.is_empty(), "nothing is wrong: {:?}", watching.told);
        let actions: Vec<&str> = troubles.iter().filter_map(|it| it.action()).collect();
        // Ten minutes: longer than any rule's patience, shorter than any repetition.
        let mut looks = 0;
        for _ in 0..40 {
            looks += 1;
            watching.look(&figures(&troubles, looks, busy), &actions, now);
            now += 15;
        }
        let firing: Vec<&Alert> = watching.told.iter().map(|(alert, _)| alert).collect();
        let names: BTreeSet<&str> = firing.iter().map(|alert| alert.name.as_str()).collect();
        prop_assert_eq!(names.len(), firing.len(), "each is told once: {:?}", names);
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            let due = troubles.iter().filter(|it| it.fitting() == severity).count();
            let told = firing.iter().filter(|alert| alert.severity == severity).count();
            // A disk that is all but full is nearly full, too, which is told as well; both at once
            // are one warning.
            let also = usize::from(
                severity == Severity::Warning
                    && troubles.contains(&T::DiskFull)
                    && !troubles.contains(&T::DiskLow),
            );
            prop_assert_eq!(told, due + also, "{:?} of {:?}: {:?}", severity, troubles, names);
        }
        let before = watching.told.len();
        let calm: BTreeSet<Trouble> = BTreeSet::new();
        for _ in 0..60 {
            // Counters stay where they were; gauges are well again.
            let mut text = figures(&troubles, looks, busy);
            for line in figures(&calm, looks, busy).lines() {
                let name = line.split([' ', '{']).next().unwrap_or_default();
                let is_gauge = metric::ALL.iter().any(|known| {
                    known.name == name && known.kind == metric::MetricKind::Gauge
                });
                if is_gauge {
                    let start = line.rsplit_once(' ').map_or(line, |(start, _)| start);
                    let kept = text.lines().filter(|known| {
                        known.rsplit_once(' ').map_or(*known, |(start, _)| start) != start
                    });
                    text = kept.map(|kept| format!("{kept}\n")).collect::<String>();
                    text.push_str(&format!("{line}\n"));
                }
            }
            watching.look(&text, &[], now);
            now += 15;
        }
        let over = watching.told[before..].iter();
        let over = over.filter(|(_, it)| *it == Telling::Resolved).count();
        prop_assert_eq!(over, before, "{:?}", watching.open);
    }
}
