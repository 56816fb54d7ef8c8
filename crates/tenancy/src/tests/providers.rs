//! Providers that people sign in with, and whom they vouch for: on both databases.

use super::{Store, on_each, operator};
use crate::{
    GroupRule, NewBinding, NewIdentity, NewSession, NewSignIn, NewUser, Provider, ProviderSettings,
    ProviderTerms, Return, Session, SignInPurpose, TenancyError, User, UserStatus,
};
use std::time::Duration;
use types::TenantId;

fn rule(role: &str, tenant: Option<TenantId>) -> GroupRule {
    GroupRule { group: "g".to_owned(), role: role.to_owned(), tenant, project: None }
}

fn settings(rules: Vec<GroupRule>) -> ProviderSettings {
    ProviderSettings {
        name: "Acme".to_owned(),
        client_id: "c".to_owned(),
        sealed_secret: Some(b"sealed".to_vec()),
        terms: ProviderTerms {
            scopes: vec!["email".to_owned()],
            groups_claim: Some("groups".to_owned()),
            verified_claim: "email_verified".to_owned(),
            rules,
            domains: vec!["acme.example".to_owned()],
            admits_unknown: true,
            password_allowed: false,
            requires_own_second_factor: false,
        },
        is_enabled: true,
        is_offered: true,
        ceiling: Some(vec!["topics:read".to_owned()]),
    }
}

async fn provider(store: &Store, tenant: Option<TenantId>, rules: Vec<GroupRule>) -> Provider {
    let issuer = "https://id.example".to_owned();
    store.create_provider(tenant, issuer, settings(rules), &operator()).await.unwrap()
}

fn identity(subject: &str, email: &str) -> NewIdentity {
    NewIdentity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        email: email.to_owned(),
    }
}

async fn open(store: &Store, user: &User, by: &Provider) -> crate::Result<Session> {
    let new = NewSession {
        user: user.id,
        refresh_hash: b"r".to_vec(),
        device_hash: b"d".to_vec(),
        device: String::new(),
        address: "192.0.2.7".to_owned(),
        network: "192.0.2.0/24".to_owned(),
        how: crate::Proven::Provider,
        provider: Some(by.id),
    };
    store.open_session(new, &operator()).await.map(|(session, _)| session)
}

#[tokio::test]
async fn what_a_provider_gave_goes_with_it() {
    on_each(async |store| {
        let by = operator();
        let tenant = store.new_tenant("acme").await.id;
        let made = provider(store, Some(tenant), vec![rule("support", Some(tenant))]).await;
        assert_eq!(store.provider(made.id).await.unwrap(), made);
        let bob = store
            .create_vouched_user("Bob", identity("s", "Bob@acme.example"), &made, &by)
            .await
            .unwrap();
        assert_eq!((bob.status, bob.email.as_str()), (UserStatus::Active, "bob@acme.example"));
        let found = store.user_of_identity("https://id.example", "s").await.unwrap();
        assert_eq!(found.unwrap().id, bob.id);
        assert!(store.user_of_identity("https://id.example", "S").await.unwrap().is_none());
        let again = store.create_vouched_user("Bob", identity("t", "bob@acme.example"), &made, &by);
        assert!(again.await.is_err(), "the address is somebody's");
        let wanted = |role: &str| NewBinding {
            user: bob.id,
            role: role.to_owned(),
            tenant: Some(tenant),
            project: None,
            conditions: None,
        };
        let both = [wanted("support"), wanted("billing")];
        store.set_vouched_roles(bob.id, &made, &both, &by).await.unwrap();
        store.set_vouched_roles(bob.id, &made, &both, &by).await.unwrap();
        assert_eq!(store.bindings_of(bob.id).await.unwrap().len(), 2);
        // Given by hand as well, it is the rules' no more.
        assert_eq!(store.bind_role(wanted("billing"), &by).await.unwrap().provider, None);
        let session = open(store, &bob, &made).await.unwrap();
        assert_eq!(session.provider, Some(made.id));
        let off = ProviderSettings { is_enabled: false, ..settings(vec![]) };
        let off = store.update_provider(made.id, off, &by).await.unwrap();
        assert!(store.session(session.id).await.unwrap().unwrap().0.ended.is_some());
        assert!(open(store, &bob, &off).await.is_err());
        let held = store.bindings_of(bob.id).await.unwrap();
        assert_eq!(held.iter().map(|it| it.role.as_str()).collect::<Vec<_>>(), ["billing"]);
        assert!(store.providers_offered("acme.example").await.unwrap().is_empty());
        let on = store.update_provider(made.id, settings(vec![]), &by).await.unwrap();
        assert_eq!(
            store.providers_offered("acme.example").await.unwrap(),
            std::slice::from_ref(&on)
        );
        assert_eq!(store.providers_without_password(bob.id).await.unwrap(), [on]);
        let session = open(store, &bob, &made).await.unwrap();
        store.delete_tenant(tenant, &by).await.unwrap();
        assert!(store.session(session.id).await.unwrap().unwrap().0.ended.is_some());
        assert!(store.provider(made.id).await.is_err());
        store.delete_user(bob.id, &by).await.unwrap();
        assert!(store.user_of_identity("https://id.example", "s").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn an_account_is_linked_inside_its_tenant_and_once() {
    on_each(async |store| {
        let by = operator();
        let (mine, theirs) =
            (store.new_tenant("mine").await.id, store.new_tenant("theirs").await.id);
        let new = NewUser { email: "ann@example.org".to_owned(), name: "Ann".to_owned() };
        let ann = store.create_owner(new, "hash", &by).await.unwrap();
        let within = Some(mine);
        let refused = store.link_identity(ann.id, identity("s", ""), within, &by).await;
        assert!(matches!(refused, Err(TenancyError::Conflict { .. })), "{refused:?}");
        let invite = |email: &str, tenant| crate::NewInvitation {
            email: email.to_owned(),
            name: "Bob".to_owned(),
            role: "support".to_owned(),
            tenant: Some(tenant),
            project: None,
            conditions: None,
            token_hash: b"t".to_vec(),
            expires_at: i64::MAX,
        };
        let bob = store.invite_user(invite("bob@mine.example", mine), &by).await.unwrap().user;
        let linked = store.link_identity(bob.id, identity("s", "b"), within, &by).await.unwrap();
        assert_eq!(store.user(bob.id).await.unwrap().status, UserStatus::Active);
        let held = store.identities(bob.id, None, 10).await.unwrap().items;
        assert_eq!(held, std::slice::from_ref(&linked));
        // The account at the provider is his now, and nobody else's.
        assert!(store.link_identity(ann.id, identity("s", ""), None, &by).await.is_err());
        store.invite_user(invite("bob@mine.example", theirs), &by).await.unwrap();
        assert!(store.link_identity(bob.id, identity("t", ""), within, &by).await.is_err());
        assert!(store.unlink_identity(ann.id, linked.id, &by).await.is_err());
        // Without a password he is active all the same.
        store.disable_user(bob.id, &by).await.unwrap();
        assert_eq!(store.enable_user(bob.id, &by).await.unwrap().status, UserStatus::Active);
        store.unlink_identity(bob.id, linked.id, &by).await.unwrap();
        assert!(store.identities(bob.id, None, 10).await.unwrap().items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_way_counts_once_in_time_and_on_its_device() {
    on_each(async |store| {
        let made = provider(store, None, vec![]).await;
        let begin = async || {
            let new = NewSignIn {
                provider: made.id,
                purpose: SignInPurpose::SignIn,
                hash: b"h".to_vec(),
                device_hash: b"d".to_vec(),
                session: None,
                user: None,
                expires_at: super::START_MS + 1_000,
            };
            store.begin_sign_in(new).await.unwrap()
        };
        let back = |sign_in, hash: &[u8], device: &[u8]| Return {
            sign_in,
            hash: hash.to_vec(),
            device_hash: device.to_vec(),
        };
        let id = begin().await;
        assert!(store.take_sign_in(&back(id, b"guessed", b"d")).await.is_err());
        let taken = store.take_sign_in(&back(id, b"h", b"d")).await.unwrap();
        assert_eq!((taken.purpose, taken.provider.id), (SignInPurpose::SignIn, made.id));
        assert!(store.take_sign_in(&back(id, b"h", b"d")).await.is_err());
        let id = begin().await;
        assert!(store.take_sign_in(&back(id, b"h", b"other")).await.is_err());
        assert!(store.take_sign_in(&back(id, b"h", b"d")).await.is_err(), "it is over for both");
        let id = begin().await;
        for attempts in 1..4 {
            let tried = store.try_sign_in(&back(id, b"h", b"d")).await.unwrap();
            assert_eq!(tried.attempts, attempts);
        }
        store.clock.advance(Duration::from_secs(1));
        assert!(store.try_sign_in(&back(id, b"h", b"d")).await.is_err());
        assert!(store.take_sign_in(&back(id, b"h", b"d")).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn settings_of_a_provider_are_bounded_and_in_its_place() {
    on_each(async |store| {
        let by = operator();
        let (mine, theirs) =
            (store.new_tenant("mine").await.id, store.new_tenant("theirs").await.id);
        let issuer = || "https://id.example".to_owned();
        let refused = async |settings: ProviderSettings| {
            store.create_provider(Some(mine), issuer(), settings, &by).await.unwrap_err()
        };
        for (wrong, field) in [
            (settings(vec![rule("support", Some(theirs))]), "rules"),
            (settings(vec![rule("support", None)]), "rules"),
            (settings(vec![rule("support", Some(mine)); 51]), "rules"),
        ] {
            let found = refused(wrong).await;
            assert!(matches!(found, TenancyError::Invalid { field: at, .. } if at == field));
        }
        let mut domains = settings(vec![]);
        domains.terms.domains = vec!["Not A Domain".to_owned()];
        assert!(matches!(refused(domains).await, TenancyError::Invalid { field: "domains", .. }));
        let nowhere = Some(TenantId(uuid::Uuid::nil()));
        assert!(store.create_provider(nowhere, issuer(), settings(vec![]), &by).await.is_err());
        for _ in 0..crate::PROVIDERS_MAX {
            provider(store, Some(mine), vec![]).await;
        }
        assert!(matches!(refused(settings(vec![])).await, TenancyError::Conflict { .. }));
        provider(store, None, vec![]).await;
        let page = store.providers(Some(Some(mine)), None, 7).await.unwrap();
        assert!(page.has_more && page.items.len() == 7);
        let after = page.items.last().map(|last| last.id);
        let rest = store.providers(Some(Some(mine)), after, 7).await.unwrap();
        assert!(!rest.has_more && rest.items.len() == 3);
        assert_eq!(store.providers(Some(None), None, 10).await.unwrap().items.len(), 1);
    })
    .await;
}
