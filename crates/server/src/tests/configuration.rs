//! Wrong configurations are refused with the place and what may be meant; right ones take effect.

use crate::config::{Config, Source, load};
use std::path::PathBuf;

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("a writable temporary directory");
    path
}

fn read(name: &str, text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let environment =
        environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let source = Source { file: Some(file(&dir, name, text)), environment };
    load(&source).map_err(|error| error.to_string())
}

#[test]
fn the_three_formats_say_the_same() {
    let yaml =
        "data_dir: /nowhere/data\nedge:\n  listen: 127.0.0.1:9000\nprotocols:\n  sse: false\n";
    let json = r#"{"data_dir":"/nowhere/data","edge":{"listen":"127.0.0.1:9000"},
        "protocols":{"sse":false}}"#;
    let toml =
        "data_dir = '/nowhere/data'\n[edge]\nlisten = '127.0.0.1:9000'\n[protocols]\nsse = false\n";
    for (name, text) in [("a.yaml", yaml), ("a.json", json), ("a.toml", toml)] {
        let config = read(name, text, &[]).expect(name);
        assert_eq!(config.edge.listen.port(), 9000, "{name}");
        assert_eq!(config.data_dir, PathBuf::from("/nowhere/data"), "{name}");
        assert_eq!(config.protocols["sse"], false, "{name}");
        assert!(config.protocols["rest"].is_object(), "{name}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_a_suggestion() {
    let cases = [
        ("a.yaml", "edge:\n  lisen: 127.0.0.1:1\n", "line 2: `edge.lisen`", "mean `listen`"),
        ("a.yaml", "data_dirr: x\n", "line 1: `data_dirr`", "mean `data_dir`"),
        ("a.yaml", "log:\n  extent_mib: 0\n", "line 2: `log.extent_mib`", "1 to 1024"),
        ("a.yaml", "edge:\n  listen: nowhere\n", "line 2: `edge.listen`", "invalid socket"),
        ("a.yaml", "protocols:\n  gopher: {}\n", "line 2: `protocols.gopher`", "no such protocol"),
        ("a.yaml", "protocols:\n  sse:\n    x: 1\n", "protocols.sse", "unknown field"),
        ("a.yaml", "a: [\n", "", "line"),
        ("a.ini", "", "", "ends in .yaml"),
    ];
    for (name, text, place, message) in cases {
        let error = read(name, text, &[]).expect_err(text);
        assert!(error.contains(place) && error.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn recent_records_get_their_share_of_the_memory() {
    let log = read("a.yaml", "", &[]).expect("good").log;
    let mib = |memory: u64| log.tail_bytes_max(memory << 20) >> 20;
    assert_eq!([128, 4096, 1 << 20].map(mib), [32, 128, 512]);
    let log = read("a.yaml", "log:\n  tail_mib: 7\n", &[]).expect("good").log;
    assert_eq!(log.tail_bytes_max(1 << 40), 7 << 20);
}

#[test]
fn the_environment_overrides() {
    let environment =
        [("MAINSTEM__EDGE__LISTEN", "127.0.0.1:7"), ("MAINSTEM__TOPICS__AUTO_CREATE", "false")];
    let config = read("a.yaml", "edge:\n  listen: 127.0.0.1:1\n", &environment).expect("good");
    assert_eq!(config.edge.listen.port(), 7);
    assert!(!config.topics.auto_create);
    let error = read("a.yaml", "", &[("MAINSTEM__EDGE__LISTN", "1")]).expect_err("a wrong key");
    assert!(error.contains("edge.listn") && error.contains("listen"), "{error}");
}

#[test]
fn printed_configurations_hold_no_secret() {
    let text = "admin:\n  token: very-secret-operator-token\n\
                database:\n  url: postgres://user:hush@localhost/db\n";
    let config = read("a.yaml", text, &[]).expect("good");
    let printed = serde_saphyr::to_string(&config).expect("settings serialise");
    let debugged = format!("{config:?}");
    for secret in ["very-secret", "hush"] {
        assert!(!printed.contains(secret) && !debugged.contains(secret));
    }
}
