//! A private Apache Kafka node: one process that is broker and controller (KRaft), with the heap
//! and the collector its own start script gives it. Its jars are fetched, see `benches/README.md`.

use super::{Flushing, START_MAX, fetched, installed};
use crate::Fault;
use crate::process::{Process, free_address, wait_until};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Any 16 bytes as base64: who made the directory.
const CLUSTER: &str = "bWFpbnN0ZW0tYmVuY2gtMQ";
/// As `kafka-server-start.sh` and `kafka-run-class.sh` set them.
const JAVA: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

pub struct Kafka {
    pub process: Process,
    pub address: SocketAddr,
}

impl Kafka {
    /// `None` when there is no Java or nobody fetched Kafka.
    pub fn start(dir: &Path, flushing: Flushing) -> Result<Option<Kafka>, Fault> {
        let (Some(java), Some(jars)) = (installed("java"), fetched("kafka")) else {
            return Ok(None);
        };
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let (address, controller) = (free_address()?, free_address()?);
        let settings = settings(&dir, address, controller, flushing);
        std::fs::write(dir.join("server.properties"), settings)?;
        let node = Node { java, jars, dir };
        let format = ["format", "--cluster-id", CLUSTER, "--config", "server.properties"];
        let mut formatting = node.command("kafka.tools.StorageTool");
        let output = formatting.args(format).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("Kafka's directory cannot be made: {text}").into());
        }
        let mut command = node.command("kafka.Kafka");
        command.arg("server.properties");
        let mut process = Process::start(&mut command, &node.dir.join("kafka.log"))?;
        wait_until(&mut process, START_MAX, || TcpStream::connect(address).is_ok())?;
        Ok(Some(Kafka { process, address }))
    }
}

struct Node {
    java: PathBuf,
    jars: PathBuf,
    dir: PathBuf,
}

/// Kafka's own command-line tools, for whichever server speaks its protocol.
pub struct KafkaTools(Node);

impl KafkaTools {
    /// `None` when there is no Java or nobody fetched Kafka.
    pub fn find(dir: &Path) -> Result<Option<KafkaTools>, Fault> {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let node = |(java, jars)| KafkaTools(Node { java, jars, dir });
        Ok(installed("java").zip(fetched("kafka")).map(node))
    }

    /// What the tool prints when it ends well.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Result<String, Fault> {
        let mut command = self.0.command(class);
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{class}: {text}{why}").into())
    }

    /// A file with a client's settings, for the tools' options.
    pub fn settings(&self, name: &str, text: &str) -> Result<String, Fault> {
        std::fs::write(self.0.dir.join(name), text)?;
        Ok(name.to_owned())
    }
}

impl Node {
    fn command(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(JAVA).arg("-cp").arg(self.jars.join("*")).arg(class).current_dir(&self.dir);
        command
    }
}

/// The stock settings but for ports, place, and what one node alone must be told.
fn settings(dir: &Path, address: SocketAddr, controller: SocketAddr, flushing: Flushing) -> String {
    let data = dir.join("data");
    let data = data.display();
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
         log.dirs={data}\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
    );
    if flushing == Flushing::Always {
        text.push_str("log.flush.interval.messages=1\n");
    }
    text
}
