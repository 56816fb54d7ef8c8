//! The one command for newcomers: console, server, and with `--demo` a real dataset on its way in.

use crate::run::{Outcome, cargo, exists, root, step};
use crate::test::npm;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Dev {
    /// Replays a real dataset into the server; see it at /demo.
    #[arg(long)]
    demo: bool,
    /// Builds with optimisations, as for production.
    #[arg(long)]
    release: bool,
    /// Leaves the console as it was built last.
    #[arg(long)]
    no_console: bool,
    /// Goes to `mainstem dev`: `--data DIR`, `--listen ADDR`.
    #[arg(last = true)]
    server: Vec<String>,
}

impl Dev {
    pub fn run(&self) -> Outcome {
        if self.no_console {
        } else if exists("npm") {
            build_console()?;
        } else {
            eprintln!("npm is not here: the server starts without its console");
        }
        let mut build = cargo();
        build.args(["build", "--package", "server"]);
        if self.demo {
            build.args(["--package", "replay"]);
        }
        if self.release {
            build.arg("--release");
        }
        step(&mut build)?;
        let mut server = self.program("mainstem");
        server.arg("dev").args(&self.server);
        if !self.demo {
            return step(&mut server);
        }
        let mut server = Running::start(&mut server)?;
        self.wait_for_port(&mut server)?;
        let mut replay = Running::start(
            self.program("replay")
                .arg("--dev-credentials")
                .arg(self.data_dir().join("dev-credentials.json")),
        )?;
        let outcome = server.wait();
        replay.stop();
        outcome
    }

    fn program(&self, name: &str) -> Command {
        let profile = if self.release { "release" } else { "debug" };
        let mut command = Command::new(target_dir().join(profile).join(name));
        command.current_dir(root());
        command
    }

    fn option(&self, name: &str) -> Option<&str> {
        let at = self.server.iter().position(|word| word == name)?;
        self.server.get(at + 1).map(String::as_str)
    }

    fn data_dir(&self) -> PathBuf {
        root().join(self.option("--data").unwrap_or("data"))
    }

    fn wait_for_port(&self, server: &mut Running) -> Outcome {
        let address = self.option("--listen").unwrap_or("127.0.0.1:8080");
        let address: SocketAddr =
            address.parse().map_err(|_| format!("`{address}` is not an address"))?;
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            server.check_alive()?;
            if started.elapsed() > START_TIME_MAX {
                return Err(format!("the server does not listen on {address}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// A program that ends with us.
pub struct Running(Child);

/// What a development server wrote about itself.
pub struct Known {
    pub url: String,
    pub key: String,
}

impl Running {
    /// A development server of the debug build on free ports, ready to be used.
    pub fn start_dev(data: &Path) -> Result<(Running, Known), String> {
        let free = "127.0.0.1:0";
        let mut command = Command::new(target_dir().join("debug/mainstem"));
        command.arg("dev").arg("--data").arg(data);
        command.args(["--listen", free, "--admin-listen", free, "--kafka-listen", free]);
        command.args(["--log", "warn"]);
        let mut server = Running::start(command.stdout(Stdio::null()))?;
        let started = Instant::now();
        loop {
            if let Some(known) = read_credentials(&data.join("dev-credentials.json")) {
                return Ok((server, known));
            }
            server.check_alive()?;
            if started.elapsed() > START_TIME_MAX {
                return Err("the server does not come up".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn start(command: &mut Command) -> Result<Running, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn();
        child.map(Running).map_err(|error| format!("`{program}` could not be started: {error}"))
    }

    fn check_alive(&mut self) -> Outcome {
        match self.0.try_wait() {
            Ok(Some(status)) => Err(format!("the server ended with {status}")),
            _ => Ok(()),
        }
    }

    fn wait(&mut self) -> Outcome {
        match self.0.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the server ended with {status}")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn stop(&mut self) {
        // It may have ended by itself: either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The file appears when the ports are bound.
fn read_credentials(path: &Path) -> Option<Known> {
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let text = |name: &str| file[name].as_str().map(str::to_owned);
    Some(Known { url: text("http_url")?, key: text("api_key")? })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `npm ci` when the lock file changed since the last time, then the production build.
pub fn build_console() -> Outcome {
    let console = root().join("console");
    let modified = |path: PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let installed = modified(console.join("node_modules/.package-lock.json"));
    let locked = modified(console.join("package-lock.json"));
    if installed.is_none() || installed < locked {
        step(npm().args(["ci", "--no-audit", "--no-fund"]))?;
    }
    step(npm().args(["run", "build"]))
}

pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
