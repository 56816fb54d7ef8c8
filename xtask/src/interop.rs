//! Takes clients of others, as they are published, through the steps of `tests/interop`. It needs
//! the network for their packages, so it is not part of `test`.

use crate::dev::target_dir;
use crate::run::{Outcome, cargo, exists, root, step};
use std::process::Command;

/// The folders of `tests/interop`: each has a `run.py` that takes the server's path and clients.
const PROTOCOLS: [&str; 1] = ["kafka"];

#[derive(clap::Args)]
pub struct Interop {
    /// A protocol of `tests/interop`; all without.
    protocol: Option<String>,
    /// Only these clients of it; all without.
    #[arg(requires = "protocol")]
    clients: Vec<String>,
    /// Only by tickets of Kerberos, with a server built for it (`--features gssapi`) and a realm of
    /// its own: it takes `libkrb5-dev libclang-dev pkg-config krb5-kdc krb5-admin-server
    /// krb5-user`.
    #[arg(long, requires = "protocol")]
    kerberos: bool,
    /// Tries what is expected to fail, too.
    #[arg(long)]
    all: bool,
    /// Writes what was found into the protocol's page of findings.
    #[arg(long)]
    record: bool,
}

impl Interop {
    pub fn run(&self) -> Outcome {
        let protocols = self.protocols()?;
        if !exists("python3") {
            return Err("python3 is not here: it runs the clients".to_owned());
        }
        let features: &[&str] = if self.kerberos { &["--features", "gssapi"] } else { &[] };
        step(cargo().args(["build", "--package", "server"]).args(features))?;
        for protocol in protocols {
            let script = root().join("tests/interop").join(protocol).join("run.py");
            let mut command = Command::new("python3");
            command.arg(script).arg(target_dir().join("debug/mainstem")).args(&self.clients);
            if self.kerberos {
                command.arg("--kerberos");
            }
            if self.all {
                command.arg("--all");
            }
            if self.record {
                command.arg("--record");
            }
            step(&mut command)?;
        }
        Ok(())
    }

    fn protocols(&self) -> Result<Vec<&'static str>, String> {
        let Some(wanted) = &self.protocol else { return Ok(PROTOCOLS.to_vec()) };
        let found = PROTOCOLS.into_iter().find(|known| known == wanted);
        let known = PROTOCOLS.join(", ");
        found
            .map(|protocol| vec![protocol])
            .ok_or_else(|| format!("there is no interop of `{wanted}`; there is {known}"))
    }
}
