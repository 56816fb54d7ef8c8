//! Scopes are a set with names.

use crate::{Scope, Scopes};

#[test]
fn every_scope_is_read_by_its_name_and_no_other() {
    for scope in Scope::ALL {
        assert_eq!(scope.name().parse::<Scope>(), Ok(scope));
        let only: Scopes = [scope].into_iter().collect();
        assert!(Scope::ALL.into_iter().all(|other| only.has(other) == (other == scope)));
    }
    assert!("events:publish ".parse::<Scope>().is_err());
    assert!("*".parse::<Scope>().is_err());
}

#[test]
fn a_set_intersects_and_is_written_as_names() {
    let some: Scopes = [Scope::EventsPublish, Scope::AdminRead].into_iter().collect();
    assert_eq!(some.intersect(Scopes::all()), some);
    assert_eq!(some.intersect(Scopes::NONE), Scopes::NONE);
    let json = serde_json::to_string(&some).expect("is JSON");
    assert_eq!(json, r#"["events:publish","admin:read"]"#);
    assert_eq!(serde_json::from_str::<Scopes>(&json).expect("is a set"), some);
    assert!(serde_json::from_str::<Scopes>(r#"["root"]"#).is_err());
}
