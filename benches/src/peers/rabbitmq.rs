//! A private RabbitMQ node of the distribution's package.

use super::{START_MAX, installed};
use crate::Fault;
use crate::process::{Process, free_address, wait_until};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

const RABBITMQ_SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A RabbitMQ node. Fields are dropped in their order: the node ends before its name server.
pub struct RabbitMq {
    pub process: Process,
    _names: Process,
    pub address: SocketAddr,
}

impl RabbitMq {
    /// `None` when it is not installed.
    pub fn start(dir: &Path) -> Result<Option<RabbitMq>, Fault> {
        let (script, Some(names)) = (PathBuf::from(RABBITMQ_SCRIPT), installed("epmd")) else {
            return Ok(None);
        };
        if !script.exists() {
            return Ok(None);
        }
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let (address, distribution, naming) = (free_address()?, free_address()?, free_address()?);
        let mut command = Command::new(names);
        command.args(["-address", "127.0.0.1", "-port", &naming.port().to_string()]);
        let mut names = Process::start(&mut command, &dir.join("epmd.log"))?;
        wait_until(&mut names, START_MAX, || TcpStream::connect(naming).is_ok())?;
        let mut command = Command::new(script);
        command.env("HOME", &dir);
        command.env("ERL_EPMD_PORT", naming.port().to_string());
        command.env("RABBITMQ_NODENAME", format!("bench{}@localhost", std::process::id()));
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_NODE_PORT", address.port().to_string());
        command.env("RABBITMQ_DIST_PORT", distribution.port().to_string());
        command.env("RABBITMQ_MNESIA_BASE", dir.join("data"));
        command.env("RABBITMQ_LOG_BASE", dir.join("log"));
        command.env("RABBITMQ_CONFIG_FILE", dir.join("none"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"));
        // With these the script becomes the node instead of its parent, so its id is the node's.
        command.env("RABBITMQ_ALLOW_INPUT", "1").env("RABBITMQ_SERVER_START_ARGS", "-noinput");
        let mut process = Process::start(&mut command, &dir.join("rabbitmq.log"))?;
        wait_until(&mut process, START_MAX, || TcpStream::connect(address).is_ok())?;
        Ok(Some(RabbitMq { process, _names: names, address }))
    }
}
