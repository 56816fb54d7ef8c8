//! Kafka's own perf tests against us and against Apache Kafka: the same unmodified client, one
//! server after the other within each run. Ours stores each record encrypted and flushed before it
//! acknowledges; Kafka does neither as it comes, and flushes first when it is told to.

use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::peers::{Flushing, Kafka, KafkaTools};
use benches::process::Process;
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::{Value, json};
use std::path::PathBuf;

const PRODUCER: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER: &str = "org.apache.kafka.tools.ConsumerPerformance";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
/// How often as much as Kafka for the same CPU is wanted.
const TARGET: f64 = 2.0;
/// Of what a second of a whole load brings, so that latency is that of a server with time to spare.
const PACED_MB_PER_SECOND: u64 = 10;
const PACED_SECONDS: u64 = 5;

#[derive(Parser)]
#[command(about = "Kafka's producer and consumer perf tests, beside Apache Kafka")]
struct Arguments {
    /// A directory for the servers' data; made, and removed at the end.
    #[arg(long, default_value = "bench-kafka")]
    dir: PathBuf,
    /// Megabytes of values in each load.
    #[arg(long, default_value_t = 200)]
    megabytes: u64,
    /// Runs; the medians are shown. One more comes first and is not counted.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Also beside a Kafka that flushes each batch before it acknowledges; that takes very long.
    #[arg(long)]
    flushing: bool,
}

struct Server<'a> {
    name: &'static str,
    process: &'a Process,
    bootstrap: String,
    /// The client's settings.
    settings: String,
}

#[derive(Clone, Copy)]
struct Load {
    bytes: u64,
    partitions: u32,
}

impl Load {
    const ALL: [Load; 4] = [
        Load { bytes: 1_000, partitions: 1 },
        Load { bytes: 1_000, partitions: 16 },
        Load { bytes: 100, partitions: 1 },
        Load { bytes: 100, partitions: 16 },
    ];

    fn name(self) -> String {
        format!("{} B, {} partitions", self.bytes, self.partitions)
    }
}

#[derive(Default)]
struct Row {
    produced: Series,
    produced_per_cpu: Series,
    paced_p99_ms: Series,
    consumed: Series,
    consumed_per_cpu: Series,
}

impl Row {
    fn json(&self, load: &str, server: &str) -> Value {
        json!({
            "load": load, "server": server, "produce_mb_per_second": self.produced.json(),
            "produce_mb_per_cpu_second": self.produced_per_cpu.json(),
            "paced_p99_ms": self.paced_p99_ms.json(),
            "consume_mb_per_second": self.consumed.json(),
            "consume_mb_per_cpu_second": self.consumed_per_cpu.json(),
        })
    }
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("kafka: perf tests of {} MB, acks=all", arguments.megabytes));
    let tools = KafkaTools::find(&arguments.dir)?
        .ok_or("Kafka's tools are missing: `cargo xtask bench --fetch-peers kafka` gets them")?;
    let ours = Mainstem::start(&arguments.dir.join("mainstem"))?;
    let lazy = Kafka::start(&arguments.dir.join("kafka"), Flushing::AsItComes)?;
    let flushing = match arguments.flushing {
        true => Kafka::start(&arguments.dir.join("kafka-flushing"), Flushing::Always)?,
        false => None,
    };
    let mut servers = vec![mainstem(&tools, &ours)?];
    let plain = tools.settings("plain.properties", "acks=all\n")?;
    for (name, kafka) in
        [("Apache Kafka", &lazy), ("Apache Kafka, log.flush.interval.messages=1", &flushing)]
    {
        if let Some(kafka) = kafka {
            servers.push(Server {
                name,
                process: &kafka.process,
                bootstrap: kafka.address.to_string(),
                settings: plain.clone(),
            });
        }
    }
    let mut company = Company::default();
    let mut told = Vec::new();
    for load in Load::ALL {
        let mut rows: Vec<Row> = servers.iter().map(|_| Row::default()).collect();
        for run in 0..=arguments.runs {
            for (server, row) in servers.iter().zip(&mut rows) {
                let before = server.process.cpu();
                let watch = Watch::begin(&arguments.dir)?;
                let topic = format!("load-{}-{}-{run}", load.bytes, load.partitions);
                let mut unseen = Row::default();
                let row = if run == 0 { &mut unseen } else { row };
                one(&tools, server, load, &topic, arguments.megabytes, row)?;
                company.add(&watch.end()?, server.process.cpu() - before);
            }
        }
        tell(load, &servers, &rows);
        let rows = servers.iter().zip(&rows);
        told.extend(rows.map(|(server, row)| row.json(&load.name(), server.name)));
    }
    company.print();
    println!("{}", json!({ "bench": "kafka", "rows": told, "company": company.json() }));
    Ok(())
}

fn mainstem<'a>(tools: &KafkaTools, ours: &'a Mainstem) -> Result<Server<'a>, Fault> {
    let access = ours.kafka.as_ref().ok_or("the server has no port for Kafka clients")?;
    let settings = format!(
        "acks=all\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"{}\" password=\"{}\";\n",
        access.username, access.password
    );
    Ok(Server {
        name: "mainstem, encrypted and flushed",
        process: &ours.process,
        bootstrap: access.bootstrap.clone(),
        settings: tools.settings("mainstem.properties", &settings)?,
    })
}

/// One topic filled, read back, and filled at a pace.
fn one(
    tools: &KafkaTools,
    server: &Server<'_>,
    load: Load,
    topic: &str,
    megabytes: u64,
    row: &mut Row,
) -> Result<(), Fault> {
    let partitions = load.partitions.to_string();
    let at = ["--bootstrap-server", &server.bootstrap, "--command-config", &server.settings];
    let made = ["--create", "--topic", topic, "--partitions", &partitions];
    tools.run(TOPICS, &[&at[..], &made[..]].concat())?;
    let records = megabytes * 1_000_000 / load.bytes;
    let before = server.process.cpu();
    let produced = produce(tools, server, topic, (load.bytes, records), None)?;
    let cpu = (server.process.cpu() - before).as_secs_f64();
    row.produced.add(produced.mb_per_second);
    row.produced_per_cpu.add(megabytes as f64 / cpu);
    let before = server.process.cpu();
    let consumed = consume(tools, server, topic, records)?;
    let cpu = (server.process.cpu() - before).as_secs_f64();
    row.consumed.add(consumed);
    row.consumed_per_cpu.add(megabytes as f64 / cpu);
    let per_second = PACED_MB_PER_SECOND * 1_000_000 / load.bytes;
    let paced = (load.bytes, per_second * PACED_SECONDS);
    row.paced_p99_ms.add(produce(tools, server, topic, paced, Some(per_second))?.p99_ms);
    Ok(())
}

struct Produced {
    mb_per_second: f64,
    p99_ms: f64,
}

fn produce(
    tools: &KafkaTools,
    server: &Server<'_>,
    topic: &str,
    (bytes, records): (u64, u64),
    per_second: Option<u64>,
) -> Result<Produced, Fault> {
    let pace = per_second.map_or("-1".to_owned(), |rate| rate.to_string());
    let (bytes_text, count) = (bytes.to_string(), records.to_string());
    let servers = format!("bootstrap.servers={}", server.bootstrap);
    let text = tools.run(
        PRODUCER,
        &[
            "--topic",
            topic,
            "--num-records",
            &count,
            "--record-size",
            &bytes_text,
            "--throughput",
            &pace,
            "--producer.config",
            &server.settings,
            "--producer-props",
            &servers,
        ],
    )?;
    let line = text.lines().rfind(|line| line.contains("99th")).ok_or(text.clone())?;
    // `N records sent, R records/sec (M MB/sec), A ms avg latency, ... P ms 99th, ...`
    let before = |unit: &str| -> Option<f64> {
        let words: Vec<&str> = line.split(unit).next()?.split([' ', '(']).collect();
        words.iter().rev().find_map(|word| word.parse().ok())
    };
    let rate = before(" records/sec").ok_or(line)?;
    let p99_ms = before(" ms 99th").ok_or(line)?;
    Ok(Produced { mb_per_second: rate * bytes as f64 / 1e6, p99_ms })
}

/// Megabytes per second of reading, without what joining a group takes.
fn consume(
    tools: &KafkaTools,
    server: &Server<'_>,
    topic: &str,
    records: u64,
) -> Result<f64, Fault> {
    let count = records.to_string();
    let text = tools.run(
        CONSUMER,
        &[
            "--bootstrap-server",
            &server.bootstrap,
            "--topic",
            topic,
            "--messages",
            &count,
            "--consumer.config",
            &server.settings,
            "--timeout",
            "60000",
            "--hide-header",
        ],
    )?;
    // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s
    let line = text.lines().rfind(|line| line.split(',').count() == 10).ok_or(text.clone())?;
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let read: u64 = fields.get(4).and_then(|it| it.parse().ok()).ok_or(line)?;
    if read < records {
        return Err(format!("{}: {read} of {records} records came", server.name).into());
    }
    // Theirs are of 1,048,576 bytes.
    let rate: f64 = fields.get(8).and_then(|it| it.parse().ok()).ok_or(line)?;
    Ok(rate * 1.048_576)
}

fn tell(load: Load, servers: &[Server<'_>], rows: &[Row]) {
    println!("{}", load.name());
    println!(
        "{:<46} {:>22} {:>22} {:>22} {:>22} {:>20}",
        "  MB/s and MB per second of server CPU",
        "produce",
        "per CPU s",
        "consume",
        "per CPU s",
        "p99 ms at 10 MB/s"
    );
    for (server, row) in servers.iter().zip(rows) {
        println!(
            "  {:<44} {:>22} {:>22} {:>22} {:>22} {:>20}",
            server.name,
            row.produced.told(1),
            row.produced_per_cpu.told(1),
            row.consumed.told(1),
            row.consumed_per_cpu.told(1),
            row.paced_p99_ms.told(1),
        );
    }
    let Some((ours, others)) = rows.split_first() else { return };
    for (server, row) in servers.iter().skip(1).zip(others) {
        let ratio = |ours: &Series, theirs: &Series| ours.median() / theirs.median();
        println!("  beside {}:", server.name);
        let produced = ratio(&ours.produced_per_cpu, &row.produced_per_cpu);
        let consumed = ratio(&ours.consumed_per_cpu, &row.consumed_per_cpu);
        against("  produce, MB per CPU second", produced, TARGET, Better::More);
        against("  consume, MB per CPU second", consumed, TARGET, Better::More);
        let p99 = ratio(&ours.paced_p99_ms, &row.paced_p99_ms);
        against("  p99 of produce at 10 MB/s", p99, 1.0, Better::Less);
    }
}
