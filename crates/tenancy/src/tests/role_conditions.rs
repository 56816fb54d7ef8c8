//! Roles under conditions, and what was noted of people: on both databases.

use super::{Store, on_each, operator};
use crate::{
    Attributes, BindingId, ConditionsChange, NewBinding, NewSession, NewUser, Proven, TenancyError,
    User, UserId,
};
use serde_json::{Value, json};
use types::TenantId;

async fn owner(store: &Store, email: &str) -> User {
    let new = NewUser { email: email.to_owned(), name: "Ann".to_owned() };
    store.create_owner(new, "hash", &operator()).await.unwrap()
}

async fn invited(store: &Store, email: &str) -> UserId {
    let new = crate::NewInvitation {
        email: email.to_owned(),
        name: "Bob".to_owned(),
        role: "support".to_owned(),
        tenant: None,
        project: None,
        conditions: None,
        token_hash: b"token".to_vec(),
        expires_at: i64::MAX,
    };
    let made = store.invite_user(new, &operator()).await.unwrap();
    let (kind, token) = (crate::MailTokenKind::Invitation, made.token.unwrap());
    let (token_hash, password) = (b"token".to_vec(), "hash".to_owned());
    let wish = crate::Redemption { kind, token, token_hash, password, name: None };
    let user = store.redeem(wish).await.unwrap().id;
    store.unbind_role(made.binding.id, &operator()).await.unwrap();
    user
}

fn wish(user: UserId, role: &str, tenant: Option<TenantId>, conditions: Value) -> NewBinding {
    let conditions = Some(conditions).filter(|it| !it.is_null());
    NewBinding { user, role: role.to_owned(), tenant, project: None, conditions }
}

/// `null` is none.
fn change(binding: BindingId, from: Value, to: Value) -> ConditionsChange {
    let some = |it: Value| Some(it).filter(|it| !it.is_null());
    ConditionsChange { binding, from: some(from), to: some(to) }
}

#[tokio::test]
async fn conditions_are_kept_and_told_and_changed_in_one_place() {
    on_each(async |store| {
        let by = operator();
        owner(store, "ann@example.org").await;
        let bob = invited(store, "bob@example.org").await;
        let tenant = store.new_tenant("acme").await.id;
        let tls = json!({"tls": true});
        let first = wish(bob, "support", Some(tenant), tls.clone());
        let made = store.bind_role(first.clone(), &by).await.unwrap();
        assert_eq!(store.binding(made.id).await.unwrap().conditions, Some(tls.clone()));
        assert_eq!(store.bind_role(first, &by).await.unwrap(), made);
        // Neither looser nor stricter: one of the two would be left out silently.
        for other in [Value::Null, json!({"strong_sign_in": true})] {
            let again = store.bind_role(wish(bob, "support", Some(tenant), other), &by).await;
            let is_told =
                matches!(again, Err(TenancyError::Conflict { field: Some("conditions"), .. }));
            assert!(is_told, "{again:?}");
        }
        let always = store
            .set_role_conditions(change(made.id, tls.clone(), Value::Null), &by)
            .await
            .unwrap();
        assert_eq!(always.conditions, None);
        // Somebody else looked at it before, and finds it changed, whatever he wants.
        for to in [Value::Null, tls.clone(), json!({"tls": false})] {
            let late = store.set_role_conditions(change(made.id, tls.clone(), to), &by).await;
            let is_told =
                matches!(late, Err(TenancyError::Conflict { field: Some("if-match"), .. }));
            assert!(is_told, "{late:?}");
        }
        assert_eq!(store.binding(made.id).await.unwrap().conditions, None);
        let filter = crate::AuditFilter {
            action: Some("role.condition".to_owned()),
            ..crate::AuditFilter::default()
        };
        let told = store.audit(tenant, &filter, 10).await.unwrap().items;
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0].details["before"], &told[0].details["after"]), (&tls, &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn somebody_owns_the_installation_whatever_the_circumstances() {
    on_each(async |store| {
        let by = operator();
        let ann = owner(store, "ann@example.org").await;
        let own = store.bindings_of(ann.id).await.unwrap()[0].id;
        let bob = invited(store, "bob@example.org").await;
        let tls = json!({"tls": true});
        assert!(
            store.set_role_conditions(change(own, Value::Null, tls.clone()), &by).await.is_err()
        );
        // An owner under conditions is not enough.
        let other = wish(bob, "owner", None, json!({"tls": true}));
        let other = store.bind_role(other, &by).await.unwrap().id;
        assert!(
            store.set_role_conditions(change(own, Value::Null, tls.clone()), &by).await.is_err()
        );
        assert!(store.disable_user(ann.id, &by).await.is_err());
        assert!(store.unbind_role(own, &by).await.is_err());
        store.set_role_conditions(change(other, tls.clone(), Value::Null), &by).await.unwrap();
        store.set_role_conditions(change(own, Value::Null, tls), &by).await.unwrap();
        // And now he is the last.
        assert!(store.disable_user(bob, &by).await.is_err());
        store.unbind_role(own, &by).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_was_noted_stays_in_its_place_and_goes_with_the_roles() {
    on_each(async |store| {
        let by = operator();
        owner(store, "ann@example.org").await;
        let bob = invited(store, "bob@example.org").await;
        let (one, two) = (store.new_tenant("one").await.id, store.new_tenant("two").await.id);
        let ops: Attributes = [("department".to_owned(), "ops".to_owned())].into();
        let stranger = store.note_attributes(bob, Some(one), ops.clone(), &by).await;
        let is_told = matches!(stranger, Err(TenancyError::Conflict { field: Some("tenant"), .. }));
        assert!(is_told, "{stranger:?}");
        let held = store.bind_role(wish(bob, "support", Some(one), Value::Null), &by).await;
        store.note_attributes(bob, Some(one), ops.clone(), &by).await.unwrap();
        store.note_attributes(bob, Some(one), ops.clone(), &by).await.unwrap();
        let noted = store.noted_of(bob).await.unwrap();
        assert_eq!(noted.at(Some(one)), ops);
        assert!(noted.at(Some(two)).is_empty() && noted.at(None).is_empty());
        // Who comes back comes without it.
        store.unbind_role(held.unwrap().id, &by).await.unwrap();
        store.bind_role(wish(bob, "billing", Some(one), Value::Null), &by).await.unwrap();
        assert!(store.noted_of(bob).await.unwrap().at(Some(one)).is_empty());
        store.note_attributes(bob, Some(one), ops.clone(), &by).await.unwrap();
        store.delete_tenant(one, &by).await.unwrap();
        assert!(store.noted_of(bob).await.unwrap().at(Some(one)).is_empty());
        store.bind_role(wish(bob, "support", Some(two), Value::Null), &by).await.unwrap();
        store.note_attributes(bob, Some(two), ops, &by).await.unwrap();
        store.delete_user(bob, &by).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_knows_how_and_when_it_was_proven() {
    on_each(async |store| {
        let by = operator();
        let ann = owner(store, "ann@example.org").await;
        let opening = |how| NewSession {
            user: ann.id,
            how,
            refresh_hash: b"first".to_vec(),
            device_hash: b"device".to_vec(),
            device: String::new(),
            address: "192.0.2.7".to_owned(),
            network: "192.0.2.0/24".to_owned(),
            provider: None,
        };
        let (weak, _) = store.open_session(opening(Proven::Password), &by).await.unwrap();
        assert!(!weak.is_strong && weak.proven_at == weak.created_at);
        store.clock.advance(std::time::Duration::from_secs(60));
        let until = weak.created_at + 600_000;
        let again = store.elevate_session(weak.id, until, Proven::Password, &by).await.unwrap();
        assert!(!again.is_strong);
        assert_eq!(again.proven_at, weak.created_at + 60_000);
        let strong = store.elevate_session(weak.id, until, Proven::Passkey, &by).await.unwrap();
        assert!(strong.is_strong);
        let (other, _) = store.open_session(opening(Proven::PasswordAndCode), &by).await.unwrap();
        assert!(other.is_strong);
    })
    .await;
}
