//! The vault, played by a small server of our own that speaks the transit engine's API: what is
//! asked of it, and what is made of its refusals.

use super::*;
use crate::Vault;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const TOKEN: &str = "hvs.token-of-this-test";

/// What it was asked, and how it behaves.
#[derive(Default)]
struct Play {
    asked: Vec<String>,
    key_version: u32,
    refusal: Option<(u16, String)>,
}

struct FakeVault {
    address: SocketAddr,
    play: Arc<Mutex<Play>>,
}

impl FakeVault {
    fn start() -> FakeVault {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let play = Arc::new(Mutex::new(Play { key_version: 1, ..Play::default() }));
        let shared = Arc::clone(&play);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(stream.expect("a connection"), &shared);
            }
        });
        FakeVault { address, play }
    }

    fn vault(&self) -> Vault {
        Vault {
            address: format!("http://{}/", self.address),
            mount: "transit".to_owned(),
            key: "mainstem".to_owned(),
            namespace: Some("team".to_owned()),
            token: SecretString::from(TOKEN),
            authority: None,
            timeout: Duration::from_secs(10),
        }
    }

    fn sources(&self) -> Sources {
        Sources { root: RootSource::Vault(self.vault()), next: None }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.play.lock().asked)
    }
}

/// One request on one connection.
fn answer(mut stream: TcpStream, play: &Mutex<Play>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let (mut length, mut token, mut namespace) = (0, String::new(), String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().expect("a length"),
            "x-vault-token" => value.clone_into(&mut token),
            "x-vault-namespace" => value.clone_into(&mut namespace),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut play = play.lock();
    play.asked.push(path.clone());
    let (status, answer) = match &play.refusal {
        Some((status, text)) => (*status, text.clone()),
        None if token != TOKEN || namespace != "team" => {
            (403, json!({"errors": ["permission denied"]}).to_string())
        }
        None => transit(&path, &body, play.key_version),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", answer.len());
    stream.write_all(format!("{head}connection: close\r\n\r\n{answer}").as_bytes())
}

/// A cipher good enough for a play: the version in front, every byte inverted.
fn transit(path: &str, body: &Value, key_version: u32) -> (u16, String) {
    let invert = |bytes: Vec<u8>| bytes.into_iter().map(|byte| !byte).collect::<Vec<_>>();
    let bad = || (400, json!({"errors": ["cipher: message authentication failed"]}).to_string());
    match path {
        "/v1/transit/encrypt/mainstem" => {
            let plain = STANDARD.decode(body["plaintext"].as_str().expect("text")).expect("base64");
            let text = format!("vault:v{key_version}:{}", STANDARD.encode(invert(plain)));
            (200, json!({"data": {"ciphertext": text, "key_version": key_version}}).to_string())
        }
        "/v1/transit/decrypt/mainstem" => {
            let text = body["ciphertext"].as_str().expect("text");
            let Some(cipher) = text.split(':').nth(2) else { return bad() };
            let Ok(cipher) = STANDARD.decode(cipher) else { return bad() };
            let plain = STANDARD.encode(invert(cipher));
            (200, json!({"data": {"plaintext": plain}}).to_string())
        }
        _ => (404, json!({"errors": []}).to_string()),
    }
}

#[test]
fn the_vault_is_asked_once_at_a_start_and_never_for_a_data_key() {
    let (rig, fake) = (Rig::new(1), FakeVault::start());
    let keyring = rig.open(fake.sources()).expect("opens");
    assert_eq!(fake.asked(), ["/v1/transit/encrypt/mainstem"]);
    for number in 1..=3 {
        rig.seal(&keyring, tenant(number), extent(1));
    }
    keyring.rotate_tenant(tenant(1)).expect("rotates");
    assert!(fake.asked().is_empty());
    drop(keyring);
    rig.disk.restart();
    let keyring = rig.open(fake.sources()).expect("opens");
    assert_eq!(fake.asked(), ["/v1/transit/decrypt/mainstem"]);
    rig.check_all(&keyring);
    assert!(rig.bytes("root.key").is_empty());
}

#[test]
fn a_rotation_takes_the_newest_version_of_the_vaults_key() {
    let (rig, fake) = (Rig::new(2), FakeVault::start());
    let keyring = rig.open(fake.sources()).expect("opens");
    rig.seal(&keyring, tenant(1), extent(1));
    let has = |text: &[u8]| rig.bytes("ring").windows(text.len()).any(|window| window == text);
    assert!(has(b"vault:v1:"));
    fake.play.lock().key_version = 2;
    keyring.rotate_root().expect("rotates");
    assert!(has(b"vault:v2:") && !has(b"vault:v1:"));
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.open(fake.sources()).expect("opens"));
}

#[test]
fn a_ring_moves_into_the_vault() {
    let (rig, fake) = (Rig::new(3), FakeVault::start());
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    drop(keyring);
    let next = Some(RootSource::Vault(fake.vault()));
    let keyring = rig.open(Sources { next, ..file_source() }).expect("opens");
    assert!(fake.asked().is_empty(), "it is not needed yet");
    keyring.rotate_root().expect("rotates");
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.open(fake.sources()).expect("opens"));
    rig.open(file_source()).map(drop).expect_err("the file opens nothing");
}

#[test]
fn a_vault_that_refuses_is_quoted_and_nothing_is_made() {
    let (rig, fake) = (Rig::new(4), FakeVault::start());
    let check = |refusal: Option<(u16, &str)>, sources: Sources, expect: &str| {
        fake.play.lock().refusal = refusal.map(|(status, text)| (status, text.to_owned()));
        let error = rig.open(sources).expect_err(expect).to_string();
        assert!(error.contains(expect), "{error}");
        assert!(error.contains(&fake.address.to_string()), "{error}");
        assert!(!error.contains(TOKEN), "{error}");
        assert!(rig.bytes("ring").is_empty());
    };
    let mut stranger = fake.vault();
    stranger.token = SecretString::from("hvs.wrong");
    let stranger = Sources { root: RootSource::Vault(stranger), next: None };
    check(None, stranger, "permission denied");
    check(Some((503, r#"{"errors":["Vault is sealed"]}"#)), fake.sources(), "Vault is sealed");
    check(Some((200, "what?")), fake.sources(), "no ciphertext");
    check(Some((200, r#"{"data":{"ciphertext":5}}"#)), fake.sources(), "no ciphertext");
    let long = "x".repeat(100_000);
    check(Some((200, &long)), fake.sources(), "too long");
    fake.play.lock().refusal = None;
    let keyring = rig.open(fake.sources()).expect("opens now");
    rig.seal(&keyring, tenant(1), extent(1));
    drop(keyring);
    let plain = json!({"data": {"plaintext": STANDARD.encode([1; 31])}}).to_string();
    fake.play.lock().refusal = Some((200, plain));
    let error = rig.open(fake.sources()).expect_err("a short key").to_string();
    assert!(error.contains("not a key of 32 bytes"), "{error}");
    let plain = json!({"data": {"plaintext": STANDARD.encode([1; 32])}}).to_string();
    fake.play.lock().refusal = Some((200, plain));
    let error = rig.open(fake.sources()).expect_err("another key").to_string();
    assert!(error.contains("changed or damaged"), "{error}");
    fake.play.lock().refusal = None;
    rig.check_all(&rig.open(fake.sources()).expect("opens"));
}

#[test]
fn a_vault_that_is_not_there_is_named() {
    let rig = Rig::new(5);
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let vault = Vault { address: format!("http://{address}"), ..FakeVault::start().vault() };
    let sources = Sources { root: RootSource::Vault(vault), next: None };
    let error = rig.open(sources).expect_err("nobody listens").to_string();
    assert!(error.contains(&address.to_string()) && error.contains("no answer"), "{error}");
}
