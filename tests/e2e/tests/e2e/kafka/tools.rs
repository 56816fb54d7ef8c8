//! kcat (librdkafka), unmodified, as people use it.

use super::Stand;
use crate::stand::ws::Client;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs kcat against the stand; answers what it printed. It ends by itself within its own limits.
fn kcat(stand: &Stand, arguments: &[&str], input: &str) -> String {
    let (output, errors) = kcat_with(&stand.server.kafka, &plain(stand), arguments, input);
    output.unwrap_or_else(|| panic!("{arguments:?}: {errors}"))
}

fn plain(stand: &Stand) -> Vec<String> {
    signed_in_by("PLAIN", &stand.key.id, &stand.key.secret)
}

pub fn signed_in_by(mechanism: &str, user: &str, password: &str) -> Vec<String> {
    vec![
        "security.protocol=SASL_PLAINTEXT".to_owned(),
        format!("sasl.mechanism={mechanism}"),
        format!("sasl.username={user}"),
        format!("sasl.password={password}"),
    ]
}

/// The same with other settings; answers what it printed, if it went well, and its complaints.
pub fn kcat_with(
    address: &str,
    settings: &[String],
    arguments: &[&str],
    input: &str,
) -> (Option<String>, String) {
    let mut command = Command::new("kcat");
    command.args(["-b", address]);
    for setting in settings {
        command.args(["-X", setting]);
    }
    command.args(["-X", "message.timeout.ms=20000", "-X", "partitioner=murmur2_random"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kcat runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(input.as_bytes()).expect("it reads");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success().then_some(printed), errors)
}

pub fn is_here() -> bool {
    let is_here = std::path::Path::new("/usr/bin/kcat").exists();
    if !is_here {
        eprintln!("kcat is not installed: its tests did not run");
    }
    is_here
}

/// Begins at once.
pub fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let task = tokio::task::spawn_blocking(work);
    async { task.await.expect("it ends well") }
}

#[tokio::test]
async fn kcat_produces_with_every_codec_and_consumes() {
    if !is_here() {
        return;
    }
    let stand = Stand::new().await;
    stand.topic("t", 3).await;
    let (stand, read) = in_background(move || {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let lines: String = (0..500).map(|n| format!("{codec}-{n}:value {n}\n")).collect();
            let once = ["-X", "enable.idempotence=true"];
            let produce = ["-P", "-t", "t", "-K", ":", "-z", codec];
            kcat(&stand, &[&produce[..], &once[..]].concat(), &lines);
        }
        let read = kcat(&stand, &["-C", "-t", "t", "-o", "beginning", "-e", "-q", "-K", ":"], "");
        (stand, read)
    })
    .await;
    let mut lines: Vec<&str> = read.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 2_500, "each once");
    // Where a key lies is where the other protocols look for it.
    let url = format!("{}/v1/topics/t/latest?key=zstd-7", stand.server.url);
    let latest = reqwest::Client::new().get(url).bearer_auth(&stand.key.secret);
    let latest = latest.send().await.expect("an answer").text().await.expect("a text");
    assert!(latest.contains("zstd-7"), "{latest}");
}

#[tokio::test]
async fn a_group_of_kcats_shares_the_partitions_and_goes_on_where_it_stood() {
    if !is_here() {
        return;
    }
    let stand = Stand::new().await;
    stand.topic("t", 4).await;
    let read = in_background(move || {
        let lines =
            |from: usize| -> String { (from..from + 200).map(|n| format!("k{n}:{n}\n")).collect() };
        let group = ["-G", "g", "-c", "200", "-q", "-u", "-X", "auto.offset.reset=earliest", "t"];
        kcat(&stand, &["-P", "-t", "t", "-K", ":"], &lines(0));
        let first = kcat(&stand, &group, "");
        kcat(&stand, &["-P", "-t", "t", "-K", ":"], &lines(200));
        let second = kcat(&stand, &group, "");
        [first, second]
    })
    .await;
    for (from, read) in read.iter().enumerate() {
        let mut numbers: Vec<usize> =
            read.lines().map(|line| line.parse().expect("a number")).collect();
        numbers.sort_unstable();
        let expected: Vec<usize> = (from * 200..(from + 1) * 200).collect();
        assert_eq!(numbers, expected, "each once, and none again");
    }
}

#[tokio::test]
async fn kcat_to_web_socket_and_back() {
    if !is_here() {
        return;
    }
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut socket = Client::open(&stand.server.url, &stand.key.secret).await;
    socket.subscribe(1, "t", "latest".into()).await;
    let publish =
        serde_json::json!({ "type": "publish", "topic": "t", "key": "ws", "data": "by socket" });
    socket.done(publish).await;
    socket.record().await;
    let read = in_background(move || {
        kcat(&stand, &["-P", "-t", "t", "-K", ":", "-H", "colour=red"], "kafka:\"by kcat\"\n");
        let read = kcat(
            &stand,
            &["-C", "-t", "t", "-o", "beginning", "-e", "-q", "-f", "%k %s %o %h\\n"],
            "",
        );
        (stand, read)
    });
    let record = socket.record().await;
    assert_eq!(record.data(), serde_json::json!("by kcat"));
    let (_stand, read) = read.await;
    let lines: Vec<&str> = read.lines().collect();
    assert!(lines[0].starts_with("ws \"by socket\" 0 "), "{read}");
    assert!(lines[1].starts_with("kafka \"by kcat\" 1 colour=red"), "{read}");
}
