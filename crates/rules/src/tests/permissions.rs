//! Permissions: places, built-in roles, and that nobody gives what he does not have.

use crate::Rights;
use crate::permissions::{BuiltIn, Permission, PermissionSet, Place, Visible};
use proptest::prelude::*;
use types::{ProjectId, TenantId};
use uuid::Uuid;

pub(super) fn tenant(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(number))
}

fn project(number: u128) -> ProjectId {
    ProjectId(Uuid::from_u128(number))
}

#[test]
fn a_place_covers_what_is_inside() {
    let (one, two) = (tenant(1), tenant(2));
    let inside = Place::Project(one, project(1));
    let table = [
        (Place::Installation, Place::Installation, true),
        (Place::Installation, Place::Tenant(one), true),
        (Place::Installation, inside, true),
        (Place::Tenant(one), Place::Installation, false),
        (Place::Tenant(one), Place::Tenant(one), true),
        (Place::Tenant(one), Place::Tenant(two), false),
        (Place::Tenant(one), inside, true),
        (Place::Tenant(two), inside, false),
        (inside, Place::Installation, false),
        (inside, Place::Tenant(one), false),
        (inside, inside, true),
        (inside, Place::Project(one, project(2)), false),
        // The same project's number in another tenant is another place.
        (inside, Place::Project(two, project(1)), false),
    ];
    for (here, there, expected) in table {
        assert_eq!(here.covers(there), expected, "{here:?} {there:?}");
    }
}

#[test]
fn names_are_unique_and_lead_back() {
    for (index, permission) in Permission::ALL.iter().enumerate() {
        assert_eq!(Permission::named(permission.name()), Some(*permission));
        assert_eq!(*permission as usize, index);
        assert!(permission.meaning().trim().ends_with('.'), "{}", permission.name());
    }
    for role in BuiltIn::ALL {
        assert_eq!(BuiltIn::named(role.name()), Some(*role));
    }
    assert_eq!(Permission::named("tenants"), None);
}

#[test]
fn built_in_roles_are_what_their_names_say() {
    let of = |role: BuiltIn| role.permissions();
    assert_eq!(of(BuiltIn::Owner), PermissionSet::all());
    assert!(of(BuiltIn::Support).iter().all(Permission::is_reading));
    assert!(of(BuiltIn::Support).has(Permission::AuditRead));
    for role in BuiltIn::ALL {
        assert_eq!(of(*role).has(Permission::EncryptionShred), *role == BuiltIn::Owner);
        assert!(of(BuiltIn::Owner).contains(of(*role)));
    }
    for forbidden in [Permission::RolesWrite, Permission::UsersWrite, Permission::ConfigWrite] {
        assert!(!of(BuiltIn::Developer).has(forbidden), "{forbidden:?}");
        assert!(!of(BuiltIn::Billing).has(forbidden), "{forbidden:?}");
    }
}

#[test]
fn what_is_visible_names_no_place_twice() {
    let (one, two) = (tenant(1), tenant(2));
    let reading: PermissionSet = [Permission::TopicsRead].into_iter().collect();
    let rights = Rights::new([
        (Place::Tenant(one), reading),
        (Place::Project(one, project(1)), reading),
        (Place::Project(two, project(2)), reading),
        (Place::Project(two, project(2)), reading),
        (Place::Tenant(two), PermissionSet::NONE),
    ]);
    let expected = vec![Place::Tenant(one), Place::Project(two, project(2))];
    assert_eq!(rights.places_of(Permission::TopicsRead), Visible::In(expected));
    assert_eq!(rights.places_of(Permission::TopicsWrite), Visible::In(vec![]));
    assert_eq!(Rights::whole().places_of(Permission::TopicsRead), Visible::Everywhere);
}

pub(super) fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Installation),
        (1u128..4).prop_map(|at| Place::Tenant(tenant(at))),
        (1u128..4, 1u128..3).prop_map(|(at, in_it)| Place::Project(tenant(at), project(in_it))),
    ]
}

pub(super) fn sets() -> impl Strategy<Value = PermissionSet> {
    prop::collection::vec(prop::sample::select(Permission::ALL), 0..6)
        .prop_map(|list| list.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is handed on by somebody who has it allows nobody more than he himself may do.
    #[test]
    fn nobody_gains_by_giving(
        held in prop::collection::vec((places(), sets()), 0..5),
        there in places(),
        picked in prop::collection::vec(any::<bool>(), Permission::ALL.len()),
        other in prop::option::weighted(0.2, prop::sample::select(Permission::ALL)),
        asked in places(),
    ) {
        let giver = Rights::new(held.clone());
        // Some of what he has there, and now and then something that he may not have.
        let all = Permission::ALL.iter().copied();
        let own = all.zip(picked).filter(|(one, is_in)| *is_in && giver.allow(*one, there));
        let set: PermissionSet = own.map(|(one, _)| one).chain(other).collect();
        let has_all = other.is_none_or(|one| giver.allow(one, there));
        prop_assert_eq!(giver.may_give(set, there, None), has_all);
        if !has_all {
            return Ok(());
        }
        let taker = Rights::new([(there, set)]);
        for permission in Permission::ALL {
            prop_assert!(!taker.allow(*permission, asked) || giver.allow(*permission, asked));
        }
    }

    /// A right in one tenant is none in another, nor in the installation.
    #[test]
    fn rights_stay_in_their_tenant(set in sets(), inside in 1u128..3, asked in places()) {
        let inside = Place::Project(tenant(1), project(inside));
        let rights = Rights::new([(Place::Tenant(tenant(1)), set), (inside, set)]);
        if asked.tenant() != Some(tenant(1)) {
            prop_assert_eq!(rights.at(asked), PermissionSet::NONE);
        }
    }
}
