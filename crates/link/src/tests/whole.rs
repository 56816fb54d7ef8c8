//! A call of the seam that has a default would be answered by it in a worker, and nobody would
//! notice: each must be there.

/// Names of the methods that a trait's text declares.
fn methods<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, rest) = source.split_once(&format!("pub trait {name}:")).expect("the trait");
    let (body, _) = rest.split_once("\n}\n").expect("its end");
    body.lines().filter_map(|line| named(line.strip_prefix("    fn ")?)).collect()
}

fn named(declared: &str) -> Option<&str> {
    declared.split(['<', '(']).next()
}

fn check(seam: &str, name: &str, worker: &str) {
    let (_, implemented) = worker.split_once(&format!("impl {name} for RemoteHub")).expect("it");
    let methods = methods(seam, name);
    assert!(methods.len() > 5, "{methods:?}");
    for method in methods {
        let is_there = implemented
            .lines()
            .filter_map(|line| named(line.strip_prefix("    fn ")?))
            .any(|there| there == method);
        assert!(is_there, "{name}::{method} is not asked of the owner");
    }
}

#[test]
fn every_call_of_the_seam_is_asked_of_the_owner() {
    let remote = include_str!("../worker/remote.rs");
    check(include_str!("../../../port/src/hub.rs"), "Hub", remote);
    let consumers = include_str!("../worker/remote_consumers.rs");
    check(include_str!("../../../port/src/consumers.rs"), "Consumers", consumers);
}
