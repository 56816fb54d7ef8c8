//! Signing in from a terminal as a person, through the built binary: by password and by a code that
//! is confirmed elsewhere; the commands that follow are his, and end with his session.

use crate::stand::PATIENCE;
use crate::stand::binary::mainstem;
use crate::stand::server::{Home, Server};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";
const EMAIL: &str = "ann@example.org";

/// Somebody's computer: no credential but what he signs in for.
struct Computer(TempDir);

impl Computer {
    fn new() -> Computer {
        Computer(TempDir::new().expect("a folder"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(mainstem());
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.0.path());
        for name in ["MAINSTEM_ADMIN_TOKEN", "MAINSTEM_ADMIN_URL", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("a command runs")
    }

    fn log_in(&self, server: &Server, password: &str) -> Output {
        let mut command = self.command(&["login", "--server", &server.admin_url, "--email", EMAIL]);
        command.env("MAINSTEM_PASSWORD", password).output().expect("a command runs")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("mainstem/session.json")
    }

    fn session(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).expect("a session")).expect("JSON")
    }

    /// As if the access token's quarter of an hour were over.
    fn age(&self) {
        let mut session = self.session();
        session["access_expires_at"] = json!(0);
        std::fs::write(self.file(), session.to_string()).expect("written");
    }
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn with_owner() -> (Home, Server) {
    let home = Home::new(&json!({}));
    let server = home.start();
    let owner = json!({"email": EMAIL, "name": "Ann", "password": PASSWORD});
    server.admin().done(Method::POST, "/v1/setup", &owner).await;
    (home, server)
}

#[tokio::test]
async fn a_person_signs_in_at_a_terminal_and_acts_as_himself() {
    let (_home, server) = with_owner().await;
    let computer = Computer::new();
    let why = refused(&computer.run(&["tenants", "list"]));
    assert!(why.contains("mainstem login"), "{why}");
    let why = refused(&computer.log_in(&server, "a wrong password"));
    assert!(why.contains("the address or the password is wrong"), "{why}");
    assert!(!computer.file().exists());
    assert!(done(&computer.log_in(&server, PASSWORD)).contains(EMAIL));
    let mode = std::fs::metadata(computer.file()).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let who = done(&computer.run(&["whoami"]));
    assert!(who.contains("Ann <ann@example.org>") && who.contains("owner everywhere"), "{who}");
    done(&computer.run(&["tenants", "create", "acme"]));
    let admin = server.admin();
    let trail = admin.done(Method::GET, "/v1/audit?action=tenant.create", &Value::Null).await;
    let actor = trail["records"][0]["actor"].to_string();
    assert!(actor.contains(EMAIL), "{actor}");
    // The refresh token counts once: several commands at the same moment share the next one.
    let before = computer.session();
    computer.age();
    let many: Vec<_> = (0..4)
        .map(|_| computer.command(&["whoami"]).stdout(Stdio::null()).spawn().expect("it starts"))
        .collect();
    for mut child in many {
        assert!(child.wait().expect("it ends").success());
    }
    assert_ne!(computer.session()["refresh_token"], before["refresh_token"]);
    let mut elevate = computer.command(&["elevate"]);
    done(&elevate.env("MAINSTEM_PASSWORD", PASSWORD).output().expect("a command runs"));
    done(&computer.run(&["logout"]));
    assert!(!computer.file().exists());
    refused(&computer.run(&["whoami"]));
    // What was kept opens nothing any more.
    let answer = Client::new()
        .get(format!("{}/v1/account", server.admin_url))
        .bearer_auth(before["access_token"].as_str().expect("a token"))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 401);
}

/// Signs in at the admin API, with a fresh proof.
async fn elevated(server: &Server) -> String {
    let client = Client::new();
    let post = async |path: &str, token: &str, body: Value| -> Value {
        let request = client.post(format!("{}{path}", server.admin_url)).bearer_auth(token);
        request.json(&body).send().await.expect("an answer").json().await.expect("JSON")
    };
    let body = json!({"email": EMAIL, "password": PASSWORD, "device": "a browser's own text"});
    let tokens = post("/v1/auth/login", "", body).await;
    let access = tokens["access_token"].as_str().expect("a token").to_owned();
    post("/v1/auth/elevate", &access, json!({"password": PASSWORD})).await;
    access
}

#[tokio::test]
async fn a_terminal_is_confirmed_in_a_browser_elsewhere() {
    let (_home, server) = with_owner().await;
    let computer = Computer::new();
    let mut login = computer.command(&["login", "--browser", "--server", &server.admin_url]);
    let mut login = login.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(login.stdout.take().expect("a pipe")).lines();
    let line = lines.next().expect("a line").expect("text");
    let (_, code) = line.rsplit_once(' ').expect("a code at the end");
    let access = elevated(&server).await;
    let confirm = Client::new()
        .post(format!("{}/v1/account/device/confirm", server.admin_url))
        .bearer_auth(&access)
        .json(&json!({"user_code": code}))
        .send()
        .await;
    assert_eq!(confirm.expect("an answer").status(), 204);
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = login.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "not signed in in time");
        tokio::time::sleep(crate::stand::LOOK_EVERY).await;
    };
    assert!(status.success());
    assert!(done(&computer.run(&["whoami"])).contains(EMAIL));
}
