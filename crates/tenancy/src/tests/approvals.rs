//! Acts that wait for a second person: who may decide, what ends what, and that whatever happens in
//! whatever order nothing is carried out twice, or by one person alone.

use super::{Store, on_each, operator, postgres, sqlite};
use crate::{
    APPROVAL_LEASE_MS, Actor, Approval, ApprovalEnd, ApprovalFilter, ApprovalId, ApprovalMode,
    ApprovalPlace, ApprovalState, ApprovalTurn, Decider, NewApproval, NewApprovalRule,
    TenancyError, UserId,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn person(number: u128) -> Actor {
    Actor::user(user(number), &format!("p{number}@example.org"))
}

fn new(asker: Option<UserId>, mode: ApprovalMode) -> NewApproval {
    NewApproval {
        place: ApprovalPlace::default(),
        mode,
        act: "delete_tenant".to_owned(),
        method: "DELETE".to_owned(),
        path: "/v1/tenants/x".to_owned(),
        permission: "tenants:delete".to_owned(),
        digest: vec![1],
        sealed: vec![2],
        before: None,
        before_digest: None,
        asker,
        address: None,
        reason: "why".to_owned(),
        wait_ms: HOUR_MS,
    }
}

async fn asked(store: &Store) -> Approval {
    let asked = store.ask_approval(new(Some(user(1)), ApprovalMode::Once), &person(1)).await;
    asked.expect("asked")
}

fn refused(outcome: Result<Approval, TenancyError>) -> String {
    match outcome {
        Err(TenancyError::Conflict { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_approves_his_own_and_one_decision_counts() {
    on_each(async |store| {
        let one = asked(store).await;
        let own = store.approve(one.id, Decider::Person(user(1)), "", &person(1)).await;
        assert!(refused(own).contains("somebody else"));
        let by = person(2);
        let yes = store.approve(one.id, Decider::Person(user(2)), "fine", &by).await.unwrap();
        assert_eq!((yes.state, yes.comment.as_str()), (ApprovalState::Approved, "fine"));
        assert_eq!(yes.decider.as_deref(), Some(by.as_str()));
        let late = store.refuse_approval(one.id, Decider::Person(user(3)), "", &person(3)).await;
        assert!(refused(late).contains("approved already"));
        // Operators' tokens are all alike.
        let of_operator = store.ask_approval(new(None, ApprovalMode::Once), &operator()).await;
        let of_operator = of_operator.unwrap();
        let own = store.approve(of_operator.id, Decider::Operator, "", &operator()).await;
        assert!(refused(own).contains("somebody else"));
        store.approve(of_operator.id, Decider::Person(user(1)), "", &person(1)).await.unwrap();
        // An operator may decide on a person's, where the caller lets him.
        let two = asked(store).await;
        let no = store.refuse_approval(two.id, Decider::Operator, "no", &operator()).await.unwrap();
        assert_eq!((no.state, no.ended_at.is_some()), (ApprovalState::Refused, true));
        let trail = store.audit_of_all_tenants(&crate::AuditFilter::default(), 50).await;
        let trail = trail.unwrap().items;
        let record = trail.iter().find(|it| it.action == "approval.approve").expect("noted");
        assert!(record.details["asker"].is_string() && record.details["decider"].is_string());
    })
    .await;
}

#[tokio::test]
async fn what_is_over_stays_over() {
    on_each(async |store| {
        let gone = asked(store).await;
        let stranger = store.withdraw_approval(gone.id, &person(2)).await;
        assert_eq!(stranger, Err(TenancyError::NotFound { what: "approval" }));
        store.withdraw_approval(gone.id, &person(1)).await.unwrap();
        let late = store.approve(gone.id, Decider::Person(user(2)), "", &person(2)).await;
        assert!(refused(late).contains("withdrawn"));
        let old = asked(store).await;
        store.clock.advance(Duration::from_millis(HOUR_MS as u64));
        let late = store.approve(old.id, Decider::Person(user(2)), "", &person(2)).await;
        assert!(refused(late).contains("in time"));
        let due = store.approvals_due().await.unwrap();
        assert_eq!(due.iter().map(|it| it.id).collect::<Vec<_>>(), [old.id]);
        let end = ApprovalEnd::because(ApprovalState::Expired, "nobody decided");
        let ended = store.close_approval(old.id, ApprovalState::Pending, end.clone()).await;
        assert_eq!(ended.unwrap().unwrap().state, ApprovalState::Expired);
        assert_eq!(store.close_approval(old.id, ApprovalState::Pending, end).await, Ok(None));
        assert!(store.approvals_due().await.unwrap().is_empty());
        assert_eq!(store.approvals_waiting().await, Ok(0));
    })
    .await;
}

#[tokio::test]
async fn a_turn_is_one_nodes_and_what_it_wrote_is_never_written_again() {
    on_each(async |store| {
        let one = asked(store).await;
        assert_eq!(store.claim_approval(one.id).await, Ok(None));
        store.approve(one.id, Decider::Person(user(2)), "", &person(2)).await.unwrap();
        let first = store.claim_approval(one.id).await.unwrap().expect("a turn");
        assert_eq!(store.claim_approval(one.id).await, Ok(None));
        assert_eq!(store.prolong_approval(first).await, Ok(true));
        // The process is gone, or only seems so: another one begins, and the first writes nothing.
        store.clock.advance(Duration::from_millis(APPROVAL_LEASE_MS as u64));
        let second = store.claim_approval(one.id).await.unwrap().expect("another turn");
        assert_eq!(store.prolong_approval(first).await, Ok(false));
        let late = store.note("test.act", "x", json!({}), &person(1).in_turn(Some(first))).await;
        assert!(matches!(late, Err(TenancyError::Conflict { .. })), "{late:?}");
        store.note("test.act", "x", json!({}), &person(1).in_turn(Some(second))).await.unwrap();
        store.clock.advance(Duration::from_millis(APPROVAL_LEASE_MS as u64));
        assert_eq!(store.claim_approval(one.id).await, Ok(None));
        let due = store.approvals_due().await.unwrap();
        assert!(due[0].carried_at.is_some() && due[0].state == ApprovalState::Running);
        let end = ApprovalEnd { status: Some(204), ..ended() };
        let over = store.end_approval(second, end).await.unwrap();
        assert_eq!((over.state, over.status), (ApprovalState::Done, Some(204)));
        assert!(store.end_approval(first, ended()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_pass_counts_for_who_asked_and_for_its_time() {
    on_each(async |store| {
        let pass = new(Some(user(1)), ApprovalMode::Pass);
        let pass = store.ask_approval(pass, &person(1)).await.unwrap().id;
        assert!(store.use_approval_pass(pass, &person(1)).await.is_err());
        store.approve(pass, Decider::Person(user(2)), "", &person(2)).await.unwrap();
        assert!(store.use_approval_pass(pass, &person(2)).await.is_err());
        assert_eq!(store.claim_approval(pass).await, Ok(None));
        assert_eq!(store.use_approval_pass(pass, &person(1)).await, Ok(true));
        assert_eq!(store.use_approval_pass(pass, &person(1)).await, Ok(false));
        store.clock.advance(Duration::from_millis(crate::APPROVAL_PASS_MS as u64));
        assert!(store.use_approval_pass(pass, &person(1)).await.is_err());
        assert_eq!(store.approvals_due().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_secret_answer_is_taken_once_and_lists_show_ones_own() {
    on_each(async |store| {
        let (tenant, project) = store.scope("acme").await;
        let place = ApprovalPlace { tenant: Some(tenant), project: Some(project), ..place() };
        let of_tenant = NewApproval { place, ..new(Some(user(1)), ApprovalMode::Once) };
        let of_tenant = store.ask_approval(of_tenant, &person(1)).await.unwrap();
        let elsewhere = NewApproval { ..new(Some(user(3)), ApprovalMode::Once) };
        let elsewhere = store.ask_approval(elsewhere, &person(3)).await.unwrap();
        let list = async |filter: ApprovalFilter| {
            let found = store.approvals(&filter, 10).await.unwrap().items;
            found.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(list(ApprovalFilter::default()).await, [elsewhere.id, of_tenant.id]);
        let none = ApprovalFilter { places: Some(Vec::new()), ..ApprovalFilter::default() };
        assert!(list(none.clone()).await.is_empty());
        let own = ApprovalFilter { asker: Some(person(3).as_str().to_owned()), ..none.clone() };
        assert_eq!(list(own).await, [elsewhere.id]);
        let inside = ApprovalFilter { places: Some(vec![(tenant, None)]), ..none };
        assert_eq!(list(inside).await, [of_tenant.id]);
        store.approve(of_tenant.id, Decider::Person(user(2)), "", &person(2)).await.unwrap();
        let turn = store.claim_approval(of_tenant.id).await.unwrap().expect("a turn");
        let end = ApprovalEnd { sealed_answer: Some(vec![9]), ..ended() };
        store.end_approval(turn, end).await.unwrap();
        let stranger = store.take_approval_answer(of_tenant.id, &person(2)).await;
        assert_eq!(stranger, Err(TenancyError::NotFound { what: "approval" }));
        assert_eq!(store.take_approval_answer(of_tenant.id, &person(1)).await, Ok(vec![9]));
        assert!(store.take_approval_answer(of_tenant.id, &person(1)).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn marks_are_the_installations_or_a_tenants_and_go_with_it() {
    on_each(async |store| {
        let tenant = store.new_tenant("acme").await.id;
        let other = store.new_tenant("other").await.id;
        let mark = |tenant, act: &str, hours| NewApprovalRule { tenant, act: act.into(), hours };
        for (tenant, act) in [(None, "a"), (Some(tenant), "a"), (Some(tenant), "b")] {
            store.put_approval_rule(mark(tenant, act, 24), &operator()).await.unwrap();
        }
        let again = store.put_approval_rule(mark(None, "a", 2), &operator()).await.unwrap();
        assert_eq!(again.hours, 2);
        for hours in [0, crate::APPROVAL_HOURS_MAX + 1] {
            assert!(store.put_approval_rule(mark(None, "a", hours), &operator()).await.is_err());
        }
        assert_eq!(store.approval_rules(None).await.unwrap().len(), 1);
        assert_eq!(store.approval_rules(Some(tenant)).await.unwrap().len(), 3);
        assert_eq!(store.approval_rules_of("a", &[tenant, other]).await.unwrap().len(), 2);
        assert_eq!(store.approval_rules_of("b", &[other]).await.unwrap().len(), 0);
        store.delete_approval_rule(None, "a", &operator()).await.unwrap();
        let again = store.delete_approval_rule(None, "a", &operator()).await;
        assert!(matches!(again, Err(TenancyError::NotFound { .. })));
        store.delete_tenant(tenant, &operator()).await.unwrap();
        assert!(store.approval_rules(Some(tenant)).await.unwrap().is_empty());
        let nowhere = store.put_approval_rule(mark(Some(tenant), "a", 1), &operator()).await;
        assert!(matches!(nowhere, Err(TenancyError::NotFound { .. })));
    })
    .await;
}

fn place() -> ApprovalPlace {
    ApprovalPlace::default()
}

fn ended() -> ApprovalEnd {
    let state = ApprovalState::Done;
    ApprovalEnd { state, outcome: None, status: Some(200), answer: None, sealed_answer: None }
}

/// What may happen next, to one of the acts that were asked for.
#[derive(Debug, Clone)]
enum Step {
    Approve {
        by: u128,
    },
    Refuse {
        by: u128,
    },
    Withdraw,
    /// One of several nodes begins, or begins again.
    Claim,
    /// Whoever had the turn of this number goes on by one step: acts, then ends. One that never
    /// goes on has died; one that goes on late had only seemed so.
    GoOn {
        turn: prop::sample::Index,
    },
    Wait {
        ms: i64,
    },
    /// The worker closes what is overdue.
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1u128..4).prop_map(|by| Step::Approve { by }),
        1 => (1u128..4).prop_map(|by| Step::Refuse { by }),
        1 => Just(Step::Withdraw),
        4 => Just(Step::Claim),
        6 => any::<prop::sample::Index>().prop_map(|turn| Step::GoOn { turn }),
        3 => prop_oneof![Just(1_000), Just(APPROVAL_LEASE_MS), Just(HOUR_MS / 3)]
            .prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 4..24)
}

/// A turn, and how far who has it has come.
struct Runner {
    turn: ApprovalTurn,
    has_acted: bool,
}

/// How often the act was carried out.
async fn carried(store: &Store, id: ApprovalId) -> usize {
    let filter = crate::AuditFilter { target: Some(id.to_string()), ..Default::default() };
    let found = store.audit_of_all_tenants(&filter, 100).await.unwrap().items;
    found.iter().filter(|it| it.action == "test.act").count()
}

async fn sweep(store: &Store) {
    for due in store.approvals_due().await.unwrap() {
        let why = match (due.state, due.carried_at) {
            (ApprovalState::Pending, _) => ApprovalState::Expired,
            (ApprovalState::Running, Some(_)) => ApprovalState::Done,
            _ => continue,
        };
        store.close_approval(due.id, due.state, ApprovalEnd::because(why, "")).await.unwrap();
    }
}

async fn take(store: &Store, id: ApprovalId, step: Step, runners: &mut Vec<Runner>) {
    match step {
        Step::Approve { by } => {
            let _ = store.approve(id, Decider::Person(user(by)), "", &person(by)).await;
        }
        Step::Refuse { by } => {
            let _ = store.refuse_approval(id, Decider::Person(user(by)), "", &person(by)).await;
        }
        Step::Withdraw => {
            let _ = store.withdraw_approval(id, &person(1)).await;
        }
        Step::Claim => {
            let turn = store.claim_approval(id).await.unwrap();
            runners.extend(turn.map(|turn| Runner { turn, has_acted: false }));
        }
        Step::GoOn { turn } if !runners.is_empty() => {
            let at = turn.index(runners.len());
            if runners[at].has_acted {
                let _ = store.end_approval(runners.remove(at).turn, ended()).await;
                return;
            }
            let by = person(1).in_turn(Some(runners[at].turn));
            let target = id.to_string();
            if store.note("test.act", &target, json!({}), &by).await.is_ok() {
                let found = store.approval(id).await.unwrap();
                assert_eq!(found.state, ApprovalState::Running);
                let decider = found.decider_user.expect("a second person");
                assert_ne!(Some(decider), found.asker_user);
                assert!(found.decided_at.unwrap() < found.asked_at + HOUR_MS, "too late");
            }
            runners[at].has_acted = true;
        }
        Step::GoOn { .. } => {}
        Step::Wait { ms } => store.clock.advance(Duration::from_millis(ms as u64)),
        Step::Sweep => sweep(store).await,
    }
}

async fn run(store: &Store, steps: Vec<Step>) {
    let (id, mut runners) = (asked(store).await.id, Vec::new());
    let mut over = None;
    for step in steps {
        take(store, id, step, &mut runners).await;
        assert!(carried(store, id).await <= 1, "carried out twice");
        let state = store.approval(id).await.unwrap().state;
        if let Some(over) = over {
            assert_eq!(state, over, "it was over");
        }
        over = over.or(Some(state).filter(|state| state.is_over()));
        if matches!(
            state,
            ApprovalState::Pending | ApprovalState::Refused | ApprovalState::Withdrawn
        ) || state == ApprovalState::Expired
        {
            assert_eq!(carried(store, id).await, 0, "without a second person: {state:?}");
        }
    }
    // A node that stays alive brings what is approved to its end, exactly once.
    for _ in 0..4 {
        store.clock.advance(Duration::from_millis(APPROVAL_LEASE_MS as u64));
        sweep(store).await;
        if let Some(turn) = store.claim_approval(id).await.unwrap() {
            let by = person(1).in_turn(Some(turn));
            store.note("test.act", &id.to_string(), json!({}), &by).await.unwrap();
            store.end_approval(turn, ended()).await.unwrap();
        }
    }
    let found = store.approval(id).await.unwrap();
    let times = carried(store, id).await;
    match found.state {
        ApprovalState::Done if found.attempt > 0 => assert!(times <= 1),
        // Three processes died by it before they wrote anything.
        ApprovalState::Running => assert_eq!((found.attempt, times), (3, 0)),
        ApprovalState::Pending => assert!(found.expires_at > store.now_ms()),
        _ => assert_eq!(times, 0, "{:?}", found.state),
    }
}

impl Store {
    fn now_ms(&self) -> i64 {
        use stdx::Clock;
        self.clock.now_ms()
    }
}

/// No order of asking, deciding, withdrawing, expiring, dying and seeming dead carries an act out
/// twice, or without a second person.
#[test]
fn no_interleaving_executes_twice_or_without_a_second_person() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let stores = runtime.block_on(async { [Some(sqlite().await), postgres().await] });
    for store in stores.iter().flatten() {
        let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
        let outcome = runner.run(&steps(), |steps| {
            runtime.block_on(run(store, steps));
            Ok(())
        });
        outcome.expect("no interleaving does");
    }
}
