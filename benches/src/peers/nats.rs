//! A private `nats-server` with JetStream in files.

use super::{Flushing, START_MAX, installed};
use crate::Fault;
use crate::process::{Process, free_address, wait_until};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

/// The first version that knows `sync_interval: always`.
const SYNC_ALWAYS_SINCE: (u32, u32) = (2, 10);

/// `nats-server`, its clients' port and its WebSocket port.
pub struct Nats {
    pub process: Process,
    pub address: SocketAddr,
    pub web_socket: SocketAddr,
}

impl Nats {
    /// `None` when it is not installed, or too old to flush before it acknowledges.
    pub fn start(dir: &Path, flushing: Flushing) -> Result<Option<Nats>, Fault> {
        let Some(program) = installed("nats-server") else {
            return Ok(None);
        };
        let sync = match flushing {
            Flushing::AsItComes => "",
            Flushing::Always if is_at_least(&program, SYNC_ALWAYS_SINCE) => "sync_interval: always",
            Flushing::Always => return Ok(None),
        };
        std::fs::create_dir_all(dir)?;
        let (address, web_socket) = (free_address()?, free_address()?);
        // The stock settings but for ports, place, and pings that would only disturb.
        let config = format!(
            "listen: \"{address}\"\nping_interval: \"30m\"\nmax_connections: 19000\n\
             jetstream {{ store_dir: \"{}\"\n {sync} }}\n\
             websocket {{ listen: \"{web_socket}\", no_tls: true }}\n",
            dir.join("store").display()
        );
        std::fs::write(dir.join("nats.conf"), config)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(dir.join("nats.conf"));
        let mut process = Process::start(&mut command, &dir.join("nats.log"))?;
        let is_open =
            || TcpStream::connect(address).is_ok() && TcpStream::connect(web_socket).is_ok();
        wait_until(&mut process, START_MAX, is_open)?;
        Ok(Some(Nats { process, address, web_socket }))
    }
}

/// Whether `nats-server: v2.11.4` and the like is at least that version.
fn is_at_least(program: &Path, least: (u32, u32)) -> bool {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    version(&text.unwrap_or_default()).is_some_and(|version| version >= least)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.rsplit('v').next()?.trim().split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("nats-server: v2.9.10\n"), Some((2, 9)));
        assert_eq!(version("nats-server: v2.11.4\n"), Some((2, 11)));
        assert_eq!(version("nothing of the kind"), None);
    }
}
