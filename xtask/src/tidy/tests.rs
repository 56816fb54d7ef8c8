//! The tree keeps its rules, and each rule bites.

use super::arrows::{Package, Use, check as check_arrows};
use super::text::check as check_text;
use super::{Complaint, check_tree};

#[test]
fn the_tree_is_tidy() {
    let complaints = check_tree().expect("the tree can be read");
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

fn package(folder: &str, uses: &[(&str, Use)]) -> Package {
    Package {
        name: folder.rsplit('/').next().unwrap_or_default().to_owned(),
        folder: folder.to_owned(),
        uses: uses.iter().map(|&(name, when)| (name.to_owned(), when)).collect(),
    }
}

/// Each of these arrows must be refused: a tree with it is not tidy.
#[test]
fn a_forbidden_arrow_is_refused() {
    let forbidden = [
        ("protocols/rest", "hub"),
        ("protocols/rest", "sse"),
        ("protocols/rest", "eventlog"),
        ("crates/edge", "hub"),
        ("crates/hub", "rest"),
        ("crates/hub", "edge"),
        ("crates/eventlog", "hub"),
        ("crates/storage", "eventlog"),
        ("crates/storage", "rules"),
        ("crates/rules", "wire-http"),
        ("crates/hub", "control"),
        ("crates/wire-http", "hub"),
        ("crates/hub", "testkit"),
        ("crates/server", "e2e"),
        ("crates/kafka-client", "port"),
        ("crates/kafka-client", "wire-http"),
        ("crates/hub", "kafka-client"),
        ("crates/server", "kafka-client"),
        ("protocols/rest", "kafka-client"),
    ];
    for (user, used) in forbidden {
        let mut tree: Vec<Package> = [
            "crates/stdx",
            "crates/types",
            "crates/port",
            "crates/storage",
            "crates/rules",
            "crates/eventlog",
            "crates/hub",
            "crates/control",
            "crates/edge",
            "crates/server",
            "crates/wire-http",
            "crates/kafka-client",
            "crates/testkit",
            "protocols/rest",
            "protocols/sse",
            "tests/e2e",
        ]
        .iter()
        .filter(|folder| **folder != user)
        .map(|folder| package(folder, &[]))
        .collect();
        tree.push(package(user, &[(used, Use::Always)]));
        let complaints = check_arrows(&tree);
        assert_eq!(complaints.len(), 1, "{user} -> {used}: {complaints:?}");
    }
}

#[test]
fn allowed_arrows_pass() {
    let tree = [
        package("crates/port", &[]),
        package("crates/wire-kafka", &[]),
        package("crates/kafka-client", &[("wire-kafka", Use::Always)]),
        package("crates/cli", &[("kafka-client", Use::Always)]),
        package("crates/wire-http", &[("port", Use::Always)]),
        package("crates/testkit", &[("port", Use::Always), ("wire-http", Use::Always)]),
        package("protocols/rest", &[("port", Use::Always), ("testkit", Use::InTests)]),
        package("crates/edge", &[("port", Use::Always), ("wire-http", Use::Always)]),
        package("crates/server", &[("rest", Use::Always), ("edge", Use::Always)]),
    ];
    assert_eq!(check_arrows(&tree), Vec::<Complaint>::new());
}

#[test]
fn broken_text_rules_are_found() {
    let long_line = format!("//! {}\n", "x".repeat(100));
    let long_function = format!("//! Doc.\nfn long() {{\n{}}}\n", "    step();\n".repeat(70));
    let cases = [
        ("crates/a/src/lib.rs", "fn main() {}\n", "opens with"),
        ("crates/a/src/util.rs", "//! Doc.\n", "says nothing"),
        ("crates/a/src/b.rs", long_line.as_str(), "wider"),
        ("crates/a/src/b.rs", long_function.as_str(), "in one function"),
        ("crates/a/src/b.rs", concat!("//! Doc.\n// FIX", "ME later\n"), "unfinished"),
        ("crates/hub/src/b.rs", "//! The qos of it.\n", "does not know the word"),
        (
            "crates/hub/src/b.rs",
            concat!("//! Doc.\nfn f() { Identity::", "mint(c, l); }\n"),
            "identities",
        ),
        ("docs/a.md", concat!("see /wo", "rk/x"), "machine"),
    ];
    for (path, text, expected) in cases {
        let found = check_text(path, text);
        assert!(found.iter().any(|it| it.message.contains(expected)), "{path}: {found:?}");
    }
}
