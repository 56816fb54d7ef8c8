//! Receivers of the trail: real sockets and files. Nothing is left out when a receiver is away or
//! the shipper is a new process, and what comes twice is told by its number.

use super::rig::{Rig, rig};
use crate::config::{Destination, FileSink, Sink, SyslogSink, Transport};
use crate::{Config, Format, Shipper};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tenancy::open_audit;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use webhooks::Courier;

fn shipper(rig: &Rig, to: Destination, format: Format) -> Shipper {
    let sink = Sink { name: "siem".to_owned(), format, to };
    let config = Config { sinks: vec![sink], ..Config::default() };
    config.check().expect("good settings");
    let clock: Arc<dyn Clock> = rig.clock.clone();
    let courier = Courier::new(webhooks::Config::default(), Arc::clone(&clock));
    let courier = Arc::new(courier.expect("a client"));
    let all = Shipper::all(&config, &rig.trail, &courier, &clock, &rig.rng);
    all.expect("a way").pop().expect("one")
}

fn syslog_to(address: SocketAddr, transport: Transport) -> Destination {
    let address = address.to_string();
    Destination::Syslog(SyslogSink { address, transport, ca_file: None, host: None })
}

/// Octet-counted messages (RFC 6587) of what was received.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let count = std::str::from_utf8(&bytes[..space]).expect("digits");
        let count: usize = count.parse().expect("a count");
        let Some(message) = bytes.get(space + 1..space + 1 + count) else { break };
        found.push(String::from_utf8(message.to_vec()).expect("text"));
        bytes = &bytes[space + 1 + count..];
    }
    found
}

fn numbers<'a>(messages: impl IntoIterator<Item = &'a String>) -> Vec<u64> {
    let text = |message: &'a String| message.split_once("] ").map_or(message.as_str(), |it| it.1);
    let open = |message| open_audit(text(message)).expect("an intact record");
    messages.into_iter().map(open).map(|record| record.link.expect("a place").sequence).collect()
}

async fn drain(shipper: &mut Shipper) -> usize {
    let mut sent = 0;
    loop {
        match shipper.step(Duration::ZERO).await.expect("the receiver takes it") {
            0 => return sent,
            count => sent += count,
        }
    }
}

#[tokio::test]
async fn syslog_over_tcp_gets_everything_over_failures_and_restarts() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut first = shipper(&rig, syslog_to(address, Transport::Tcp), Format::Json);
    // One who hangs up at once: the step is not counted.
    let hang_up = tokio::spawn(async move {
        drop(listener.accept().await.expect("a connection"));
        listener
    });
    assert!(first.step(Duration::ZERO).await.is_err());
    let listener = hang_up.await.expect("no panic");
    let taking = tokio::spawn(async move {
        let mut received = Vec::new();
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_to_end(&mut received).await.expect("an end");
        let (mut stream, _) = listener.accept().await.expect("a second connection");
        stream.read_to_end(&mut received).await.expect("an end");
        received
    });
    let sent = drain(&mut first).await;
    assert!(sent >= 2);
    drop(first);
    rig.project("b").await;
    rig.publish().await;
    // Another process.
    let mut second = shipper(&rig, syslog_to(address, Transport::Tcp), Format::Json);
    assert!(drain(&mut second).await >= 2);
    drop(second);
    let received = taking.await.expect("no panic");
    let got = numbers(&frames(&received));
    let wanted: Vec<u64> = (1..=rig.texts().await.len() as u64).collect();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn syslog_over_udp_is_a_datagram_a_record() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let to = syslog_to(socket.local_addr().expect("an address"), Transport::Udp);
    let sent = drain(&mut shipper(&rig, to, Format::Json)).await;
    let mut messages = Vec::new();
    let mut bytes = vec![0; 65_536];
    for _ in 0..sent {
        let receive = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut bytes));
        let count = receive.await.expect("in time").expect("a datagram");
        messages.push(String::from_utf8(bytes[..count].to_vec()).expect("text"));
    }
    assert_eq!(numbers(&messages), (1..=sent as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_gets_a_line_a_record_and_is_put_aside_when_large() {
    let rig = rig().await;
    let path = rig.dir.path().join("audit.jsonl");
    let sink = || FileSink { path: path.clone(), mib_max: 1, files_max: 2 };
    rig.project("a").await;
    rig.publish().await;
    drain(&mut shipper(&rig, Destination::File(sink()), Format::Json)).await;
    let lines = |path: &std::path::Path| -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("a file");
        text.lines().map(str::to_owned).collect()
    };
    let first = numbers(&lines(&path));
    assert_eq!(first, (1..=rig.texts().await.len() as u64).collect::<Vec<_>>());
    // A file that is full goes aside, and nothing of it is lost.
    let filler = std::fs::OpenOptions::new().append(true).open(&path);
    let mut filler = filler.expect("the file");
    std::io::Write::write_all(&mut filler, &vec![b'x'; 1 << 20]).expect("written");
    rig.project("b").await;
    rig.publish().await;
    drain(&mut shipper(&rig, Destination::File(sink()), Format::Json)).await;
    let second = numbers(&lines(&path));
    let all: BTreeSet<u64> = first.into_iter().chain(second).collect();
    assert_eq!(all.len(), rig.texts().await.len());
    assert!(rig.dir.path().join("audit.jsonl.1").exists());
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn settings_that_cannot_be_meant_are_refused_by_name() {
    let syslog = |address: &str| {
        let sink = SyslogSink {
            address: address.to_owned(),
            transport: Transport::Tcp,
            ca_file: None,
            host: None,
        };
        Destination::Syslog(sink)
    };
    let sink =
        |name: &str, to: Destination| Sink { name: name.to_owned(), format: Format::Json, to };
    let table = [
        (vec![sink("A", syslog("h:514"))], "sinks.0.name"),
        (vec![sink("a", syslog("h"))], "sinks.0.to.syslog.address"),
        (vec![sink("a", syslog("h:0"))], "sinks.0.to.syslog.address"),
        (vec![sink("a", syslog("h:1")), sink("a", syslog("h:2"))], "sinks.1.name"),
    ];
    for (sinks, key) in table {
        let config = Config { sinks, ..Config::default() };
        assert_eq!(config.check().expect_err("refused").0, key);
    }
    assert!(Config { retention_days: 0, ..Config::default() }.check().is_err());
}
