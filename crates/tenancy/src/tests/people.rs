//! Users, sessions, roles: on both databases.

use super::{Store, on_each, operator};
use crate::{
    Actor, MailTokenKind, NewBinding, NewInvitation, NewRole, NewSession, NewUser, Proven,
    Redemption, RolePatch, Rotation, SESSIONS_MAX, Session, SessionEnd, SessionTimes, TenancyError,
    Turnover, User, UserStatus,
};
use std::time::Duration;

const TIMES: SessionTimes = SessionTimes { idle_ms_max: 60_000, age_ms_max: 600_000 };

fn new(email: &str) -> NewUser {
    NewUser { email: email.to_owned(), name: "Ann".to_owned() }
}

fn opening(user: &User, device: &str) -> NewSession {
    NewSession {
        user: user.id,
        how: Proven::Password,
        refresh_hash: b"first".to_vec(),
        device_hash: device.as_bytes().to_vec(),
        device: device.to_owned(),
        address: "192.0.2.7".to_owned(),
        network: "192.0.2.0/24".to_owned(),
        provider: None,
    }
}

fn turn(session: &Session, from: &str, to: &str, device: &str) -> Turnover {
    Turnover {
        session: session.id,
        generation: session.generation,
        old_hash: from.as_bytes().to_vec(),
        new_hash: to.as_bytes().to_vec(),
        device_hash: device.as_bytes().to_vec(),
        address: "192.0.2.8".to_owned(),
    }
}

async fn owner(store: &Store) -> User {
    store.create_owner(new("Ann@Example.org"), "hash", &operator()).await.unwrap()
}

#[tokio::test]
async fn there_is_one_first_owner() {
    on_each(async |store| {
        assert!(!store.has_users().await.unwrap());
        for email in ["", "ann", "@example.org", "ann@", "a b@c.d"] {
            let outcome = store.create_owner(new(email), "hash", &operator()).await;
            assert!(matches!(outcome, Err(TenancyError::Invalid { field: "email", .. })));
        }
        let (by, too) = (operator(), operator());
        let both = tokio::join!(
            store.create_owner(new("ann@example.org"), "hash", &by),
            store.create_owner(new("bob@example.org"), "hash", &too),
        );
        let made = [&both.0, &both.1].iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(made, 1, "{both:?}");
        assert!(store.has_users().await.unwrap());
        let again = store.create_owner(new("eve@example.org"), "hash", &operator()).await;
        assert!(matches!(again, Err(TenancyError::Conflict { .. })), "{again:?}");
        assert_eq!(store.users(None, 10).await.unwrap().items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    on_each(async |store| {
        let ann = owner(store).await;
        assert_eq!(ann.email, "ann@example.org");
        let by = operator();
        let bound = store.bindings_of(ann.id).await.unwrap();
        assert_eq!(bound.len(), 1);
        assert!(store.unbind_role(bound[0].id, &by).await.is_err());
        assert!(store.disable_user(ann.id, &by).await.is_err());
        assert!(store.delete_user(ann.id, &by).await.is_err());
        assert_eq!(store.user(ann.id).await.unwrap().status, UserStatus::Active);
        let found = store.user_by_email("ANN@example.ORG").await.unwrap().unwrap();
        assert_eq!((found.user.id, found.password.as_deref()), (ann.id, Some("hash")));
        assert!(!format!("{found:?}").contains("hash"));
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_counts_once_and_a_second_time_ends_the_session() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = Actor::user(ann.id, &ann.email);
        let (first, seen) = store.open_session(opening(&ann, "laptop"), &by).await.unwrap();
        assert!(seen.is_first && seen.is_new_device);
        let turned = store.rotate_session(&turn(&first, "first", "second", "laptop"), TIMES).await;
        let Rotation::Done(second, _) = turned.unwrap() else { panic!("refused") };
        assert_eq!((second.id, second.generation), (first.id, 1));
        // The copy of the first one.
        let again = store.rotate_session(&turn(&first, "first", "evil", "laptop"), TIMES).await;
        assert!(matches!(again.unwrap(), Rotation::Reused(user) if user.id == ann.id));
        let (session, _) = store.session(first.id).await.unwrap().unwrap();
        assert_eq!(session.ended.unwrap().1, SessionEnd::Reused);
        // Also for the one who has the newest.
        let late = store.rotate_session(&turn(&second, "second", "third", "laptop"), TIMES).await;
        assert_eq!(late.unwrap(), Rotation::Ended);
        // Another device with a stolen newest token.
        let (other, seen) = store.open_session(opening(&ann, "laptop"), &by).await.unwrap();
        assert!(!seen.is_first && !seen.is_new_device && !seen.is_new_network);
        let moved = store.rotate_session(&turn(&other, "first", "x", "phone"), TIMES).await;
        assert!(matches!(moved.unwrap(), Rotation::Reused(_)));
        let trail = store.audit_of_all_tenants(&crate::AuditFilter::default(), 50).await.unwrap();
        let ends: Vec<_> = trail.items.iter().filter(|at| at.action == "session.end").collect();
        assert_eq!(ends.len(), 2);
        assert!(ends.iter().all(|end| end.details["reason"] == "reused"));
    })
    .await;
}

#[tokio::test]
async fn sessions_end_by_idling_by_age_and_by_number() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = Actor::user(ann.id, &ann.email);
        let (idle, _) = store.open_session(opening(&ann, "a"), &by).await.unwrap();
        store.clock.advance(Duration::from_millis(60_000));
        assert!(!idle.is_open(idle.created_at + 60_000, TIMES));
        let late = store.rotate_session(&turn(&idle, "first", "x", "a"), TIMES).await.unwrap();
        assert_eq!(late, Rotation::Ended);
        let (mut old, _) = store.open_session(opening(&ann, "a"), &by).await.unwrap();
        let mut have = "first".to_owned();
        for round in 0..12 {
            store.clock.advance(Duration::from_millis(50_000));
            let next = format!("token {round}");
            let turned = store.rotate_session(&turn(&old, &have, &next, "a"), TIMES).await;
            match turned.unwrap() {
                Rotation::Done(session, _) => (old, have) = (session, next),
                other => {
                    assert_eq!((other, round), (Rotation::Ended, 11));
                }
            }
        }
        for round in 0..SESSIONS_MAX + 3 {
            store.open_session(opening(&ann, &format!("{round}")), &by).await.unwrap();
        }
        let open = store.sessions(ann.id, None, 100).await.unwrap().items;
        assert_eq!(open.len(), SESSIONS_MAX);
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = Actor::user(ann.id, &ann.email);
        let (kept, _) = store.open_session(opening(&ann, "a"), &by).await.unwrap();
        let (other, _) = store.open_session(opening(&ann, "b"), &by).await.unwrap();
        store.set_password(ann.id, "new hash", Some(kept.id), &by).await.unwrap();
        let state = async |id| store.session(id).await.unwrap().unwrap().0.ended;
        assert_eq!(state(kept.id).await, None);
        assert_eq!(state(other.id).await.unwrap().1, SessionEnd::PasswordChanged);
        let stranger = crate::UserId(uuid::Uuid::nil());
        assert!(store.end_session(stranger, kept.id, SessionEnd::Revoked, &by).await.is_err());
        store.end_sessions(ann.id, None, &by).await.unwrap();
        assert!(state(kept.id).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn roles_are_given_in_places_that_exist() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = operator();
        let (tenant, project) = store.scope("acme").await;
        let (other, _) = store.scope("other").await;
        let wish = |role: &str, tenant, project| NewBinding {
            user: ann.id,
            role: role.to_owned(),
            tenant,
            project,
            conditions: None,
        };
        for (at, inside) in [(None, Some(project)), (Some(other), Some(project))] {
            assert!(store.bind_role(wish("support", at, inside), &by).await.is_err());
        }
        let one = store.bind_role(wish("support", Some(tenant), None), &by).await.unwrap();
        let same = store.bind_role(wish("support", Some(tenant), None), &by).await.unwrap();
        assert_eq!(one, same);
        store.bind_role(wish("admin", Some(tenant), Some(project)), &by).await.unwrap();
        assert_eq!(store.users_of_tenant(tenant, None, 10).await.unwrap().items.len(), 1);
        assert!(store.users_of_tenant(other, None, 10).await.unwrap().items.is_empty());
        // What was given in a project and a tenant goes with them.
        store.delete_project(tenant, project, &by).await.unwrap();
        assert_eq!(store.bindings_of(ann.id).await.unwrap().len(), 2);
        store.delete_tenant(tenant, &by).await.unwrap();
        assert_eq!(store.bindings_of(ann.id).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn roles_in_use_stay() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = operator();
        let make = |name: &str| NewRole {
            name: name.to_owned(),
            description: String::new(),
            permissions: vec!["topics:read".to_owned()],
        };
        assert!(store.create_role(make("Owner"), &by).await.is_err());
        let role = store.create_role(make("auditor"), &by).await.unwrap();
        assert!(store.create_role(make("auditor"), &by).await.is_err());
        let patch =
            RolePatch { permissions: Some(vec!["audit:read".to_owned()]), ..RolePatch::default() };
        let changed = store.update_role(role.id, patch, &by).await.unwrap();
        assert_eq!((changed.name.as_str(), changed.permissions.len()), ("auditor", 1));
        let held = NewBinding {
            user: ann.id,
            role: role.id.to_string(),
            tenant: None,
            project: None,
            conditions: None,
        };
        let bound = store.bind_role(held.clone(), &by).await.unwrap();
        assert!(store.delete_role(role.id, &by).await.is_err());
        store.unbind_role(bound.id, &by).await.unwrap();
        store.delete_role(role.id, &by).await.unwrap();
        assert!(store.bind_role(held, &by).await.is_err());
        assert!(store.roles(None, 10).await.unwrap().items.is_empty());
    })
    .await;
}

fn invitation(email: &str, expires_at: i64) -> NewInvitation {
    NewInvitation {
        email: email.to_owned(),
        name: "Bob".to_owned(),
        role: "support".to_owned(),
        tenant: None,
        project: None,
        conditions: None,
        token_hash: b"mailed".to_vec(),
        expires_at,
    }
}

#[tokio::test]
async fn a_mailed_token_counts_once_in_its_time_and_for_its_purpose() {
    on_each(async |store| {
        let by = operator();
        let end = super::START_MS + 1_000;
        let invited = store.invite_user(invitation("Bob@example.org", end), &by).await.unwrap();
        assert_eq!(invited.user.status, UserStatus::Invited);
        let redemption = |kind, hash: &[u8]| Redemption {
            kind,
            token: invited.token.unwrap(),
            token_hash: hash.to_vec(),
            password: "hash".to_owned(),
            name: Some("Robert".to_owned()),
        };
        let (right, wrong) = (MailTokenKind::Invitation, MailTokenKind::Reset);
        assert!(store.redeem(redemption(wrong, b"mailed")).await.is_err());
        assert!(store.redeem(redemption(right, b"guessed")).await.is_err());
        let joined = store.redeem(redemption(right, b"mailed")).await.unwrap();
        assert_eq!((joined.status, joined.name.as_str()), (UserStatus::Active, "Robert"));
        assert!(store.redeem(redemption(right, b"mailed")).await.is_err());
        // Who has a password needs no other token to be given a role.
        let again = store.invite_user(invitation("bob@example.org", end), &by).await.unwrap();
        assert_eq!(
            (again.user.id, again.token, again.binding.id),
            (joined.id, None, invited.binding.id)
        );
        // A reset's time runs out.
        let token = store.start_reset(joined.id, b"mailed", end, &by).await.unwrap();
        store.clock.advance(Duration::from_secs(1));
        let late = Redemption { token, ..redemption(wrong, b"mailed") };
        assert!(store.redeem(late).await.is_err());
        // Nobody's invitation leaves a tenant's role behind where there is no such tenant.
        let mut nowhere = invitation("eve@example.org", end);
        nowhere.tenant = Some(types::TenantId(uuid::Uuid::nil()));
        assert!(store.invite_user(nowhere, &by).await.is_err());
        assert!(store.user_by_email("eve@example.org").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_second_factor_steps_forward_only() {
    on_each(async |store| {
        let ann = owner(store).await;
        let by = Actor::user(ann.id, &ann.email);
        assert!(store.second_factor(ann.id).await.unwrap().is_none());
        assert!(store.confirm_second_factor(ann.id, 7, &[], &by).await.is_err());
        store.start_second_factor(ann.id, b"sealed", &by).await.unwrap();
        // Begun anew as often as one likes, until it is confirmed.
        store.start_second_factor(ann.id, b"sealed again", &by).await.unwrap();
        let codes = [b"one".to_vec(), b"two".to_vec()];
        store.confirm_second_factor(ann.id, 7, &codes, &by).await.unwrap();
        assert!(store.start_second_factor(ann.id, b"other", &by).await.is_err());
        let found = store.second_factor(ann.id).await.unwrap().unwrap();
        assert!(found.is_confirmed && found.sealed == b"sealed again");
        for (step, expected) in [(7, false), (8, true), (8, false), (6, false), (9, true)] {
            assert_eq!(store.use_step(ann.id, step).await.unwrap(), expected, "{step}");
        }
        assert!(store.use_recovery_code(ann.id, b"one", &by).await.unwrap());
        assert!(!store.use_recovery_code(ann.id, b"one", &by).await.unwrap());
        store.remove_second_factor(ann.id, &by).await.unwrap();
        assert!(!store.use_recovery_code(ann.id, b"two", &by).await.unwrap());
        assert!(store.remove_second_factor(ann.id, &by).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_but_the_trail() {
    on_each(async |store| {
        owner(store).await;
        let by = operator();
        let end = super::START_MS + 1_000;
        let bob = store.invite_user(invitation("bob@example.org", end), &by).await.unwrap().user;
        store.start_second_factor(bob.id, b"sealed", &by).await.unwrap();
        store.delete_user(bob.id, &by).await.unwrap();
        assert!(store.user(bob.id).await.is_err());
        assert!(store.bindings_of(bob.id).await.unwrap().is_empty());
        let filter = crate::AuditFilter {
            action: Some("user.delete".to_owned()),
            ..crate::AuditFilter::default()
        };
        let trail = store.audit_of_all_tenants(&filter, 10).await.unwrap();
        assert_eq!(trail.items[0].details["email"], "bob@example.org");
    })
    .await;
}
