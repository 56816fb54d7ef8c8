//! Access lists: nanoseconds per decision at 200,000 topics with ten entries each, remembered and
//! not, beside what cannot be beaten: one lookup of the topic's name in a table of as many. One
//! thread, no sockets; rows take turns, so that the machine's moods meet all of them.

use benches::Fault;
use benches::report::{Better, Series, against, heading};
use clap::Parser;
use rules::acl::{AccessRules, CompiledList, Groups, Ruling, Tier};
use serde_json::json;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use types::acl::{Facts, KeyMatch, TopicMatch, When};
use types::{AccessEntry, AccessList, Effect, Operation, TopicName};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nanoseconds of a decision that is remembered.
const TARGET_CACHED_NS: f64 = 1_000.0;
/// Nanoseconds of one that is not.
const TARGET_UNCACHED_NS: f64 = 5_000.0;
/// Questions asked again and again for the remembered row: a connection's own.
const HOT: usize = 512;
const ROUNDS: usize = 5;

#[derive(Parser)]
#[command(about = "Nanoseconds per decision of access lists, remembered and not")]
struct Arguments {
    #[arg(long, default_value_t = 200_000)]
    topics: usize,
    /// Entries of each topic.
    #[arg(long, default_value_t = 10)]
    entries: usize,
    /// Questions of each row and round.
    #[arg(long, default_value_t = 1_000_000)]
    questions: usize,
}

/// What is asked: whom, what, where.
struct Question {
    subject: String,
    operation: Operation,
    topic: TopicName,
    key: Option<&'static [u8]>,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    let (topics, per_topic) = (arguments.topics, arguments.entries);
    heading(&format!("acl: {topics} topics x {per_topic} entries, {ROUNDS} rounds"));
    let names = (0..topics).map(name).collect::<Result<Vec<TopicName>, Fault>>()?;
    let list = list(&names, per_topic);
    let before = resident_bytes()?;
    let started = Instant::now();
    let compiled = CompiledList::new(Tier::Project, &list, &Groups::new());
    let compile_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let memory_mib = resident_bytes()?.saturating_sub(before) as f64 / f64::from(1 << 20);
    let entries = compiled.entries();
    drop(list);
    let rules = AccessRules::new(vec![Arc::new(compiled)]);
    let bare: HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let spread: Vec<Question> =
        (0..arguments.questions).map(|turn| question(&names, per_topic, turn)).collect();
    let hot: Vec<&Question> = spread.iter().take(HOT).collect();

    let (mut lookup, mut uncached, mut cached) =
        (Series::default(), Series::default(), Series::default());
    let mut allowed = 0_usize;
    for _ in 0..ROUNDS {
        lookup.add(per_question(spread.len(), || {
            for question in &spread {
                black_box(bare.get(question.topic.as_str()));
            }
        }));
        uncached.add(per_question(spread.len(), || {
            allowed += spread.iter().filter(|question| ask(&rules, question)).count();
        }));
        cached.add(per_question(spread.len(), || {
            for question in hot.iter().cycle().take(spread.len()) {
                black_box(ask(&rules, question));
            }
        }));
    }
    for (row, series) in [
        ("lookup of the topic's name alone, ns", &lookup),
        ("decision, not remembered, ns", &uncached),
        ("decision, remembered, ns", &cached),
    ] {
        println!("{row:<44} {}", series.told(0));
    }
    let share = allowed as f64 / (ROUNDS * spread.len()) as f64;
    println!("entries {entries}, {memory_mib:.0} MiB, compiled in {compile_ms:.0} ms");
    println!("allowed: {:.0} % of the questions", share * 100.0);
    against("not remembered, ns", uncached.median(), TARGET_UNCACHED_NS, Better::Less);
    against("remembered, ns", cached.median(), TARGET_CACHED_NS, Better::Less);
    println!(
        "{}",
        json!({
            "bench": "acl", "topics": topics, "entries": entries, "lookup_ns": lookup.json(),
            "uncached_ns": uncached.json(), "cached_ns": cached.json(), "memory_mib": memory_mib,
            "compile_ms": compile_ms, "allowed_share": share,
        })
    );
    Ok(())
}

fn name(number: usize) -> Result<TopicName, Fault> {
    // Some names begin with others, as they do in life.
    let text = format!("team-{}.service-{}.events-{number}", number % 50, number % 997);
    Ok(TopicName::parse(&text)?)
}

fn entry(id: String, effect: Effect, who: String, topic: TopicMatch) -> AccessEntry {
    AccessEntry {
        id,
        effect,
        principals: vec![who],
        operations: [Operation::Publish, Operation::Read].into_iter().collect(),
        topic: Some(topic),
        key: None,
        consumer_group: None,
        transactional_id: None,
        when: When::default(),
        note: String::new(),
    }
}

/// Entries of each topic for principals of its own, the last of them on some of its keys and
/// denying; and a thousand on prefixes that many topics begin with.
fn list(names: &[TopicName], per_topic: usize) -> AccessList {
    let mut entries = Vec::with_capacity(names.len() * per_topic + 1_000);
    for (number, name) in names.iter().enumerate() {
        for turn in 0..per_topic {
            let is_last = turn + 1 == per_topic;
            let effect = if is_last { Effect::Deny } else { Effect::Allow };
            let who = format!("jwt:user-{}", (number * 7 + turn) % 5_000);
            let topic = TopicMatch::Literal(name.to_string());
            let mut made = entry(format!("{number}.{turn}"), effect, who, topic);
            made.key = is_last.then(|| KeyMatch::Filter("eu/+/secret".to_owned()));
            entries.push(made);
        }
    }
    for number in 0..1_000 {
        let prefix = TopicMatch::Prefix(format!("team-{}.service-{}", number % 50, number));
        let who = format!("group:{}", number % 10);
        entries.push(entry(format!("p.{number}"), Effect::Allow, who, prefix));
    }
    let members = |group: usize| (0..500).map(move |it| format!("jwt:user-{}", it * 10 + group));
    let groups = (0..10).map(|group| (group.to_string(), members(group).collect()));
    AccessList { default: None, groups: groups.collect(), entries }
}

/// Numbers without a pattern, the same in every run.
fn scattered(turn: usize) -> usize {
    ((turn as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize
}

fn question(names: &[TopicName], per_topic: usize, turn: usize) -> Question {
    let drawn = scattered(turn);
    let number = drawn % names.len();
    // Half of them ask as somebody whom an entry of the topic names.
    let user = match drawn % 2 {
        0 => (number * 7 + drawn / 3 % per_topic) % 5_000,
        _ => drawn / 5 % 5_000,
    };
    let keys: [Option<&'static [u8]>; 3] = [None, Some(b"eu/17/secret"), Some(b"us/4/lines")];
    Question {
        subject: format!("jwt:user-{user}"),
        operation: if drawn.is_multiple_of(3) { Operation::Read } else { Operation::Publish },
        topic: names[number].clone(),
        key: keys[drawn / 7 % 3],
    }
}

fn ask(rules: &AccessRules, question: &Question) -> bool {
    let Question { subject, operation, topic, key } = question;
    let facts = Facts { origin: None, attributes: None, now: 0 };
    rules.decide(subject, *operation, topic, *key, &facts).ruling == Ruling::Allowed
}

fn per_question(count: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_nanos() as f64 / count.max(1) as f64
}

fn resident_bytes() -> Result<u64, Fault> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).ok_or("statm has no second field")?;
    Ok(pages.parse::<u64>()? * 4_096)
}
