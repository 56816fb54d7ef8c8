//! `mainstem` as a person runs it in a terminal: a process, its output, its exit code.

use super::binary::mainstem;
use super::server::ended;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// A command against the server, with the key in the environment.
pub fn command(url: &str, secret: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(mainstem());
    command
        .args(arguments)
        .env("MAINSTEM_URL", url)
        .env("MAINSTEM_API_KEY", secret)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(url: &str, secret: &str, arguments: &[&str]) -> Output {
    command(url, secret, arguments).output().expect("a command runs")
}

/// A command that goes on, read line by line.
pub struct Running {
    child: Child,
    pub lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(url: &str, secret: &str, arguments: &[&str]) -> Running {
        let mut command = command(url, secret, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("a command starts");
        let output = child.stdout.take().expect("its output is a pipe");
        let (into, lines) = channel();
        let read = move |output: ChildStdout| {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if into.send(line).is_err() {
                    return;
                }
            }
        };
        let reader = Some(std::thread::spawn(move || read(output)));
        Running { child, lines, reader }
    }

    /// The next line.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(super::PATIENCE).expect("a line of output in time")
    }

    /// Waits until it ends by itself, which must be well.
    pub fn finish(mut self) {
        let status = ended(&mut self.child);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs nothing more.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
