//! Carries out what was approved, and ends what nobody decided on. One per node; several may run on
//! one database, since whoever begins claims it first. Who asked and who approved are looked at
//! again, and so is what it is about.

use super::before;
use super::catalogue::Act;
use super::decide::{asker, still_approved};
use super::sealed::{open, seal_answer};
use super::{Holding, InTurn};
use crate::admin::{Admitted, Shared, Who};
use crate::repeat::Kept;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, Request};
use port::{Peer, Refusal, RequestId, ShardId, metric};
use rules::Circumstances;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tenancy::{
    APPROVAL_LEASE_MS, Approval, ApprovalEnd, ApprovalMode, ApprovalState, ApprovalTurn,
};
use tokio::sync::watch;
use tower_service::Service;
use wire_http::read_body;

/// What is approved by way of another node is seen by looking again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After the database did not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// A turn is prolonged well before it ends.
const PROLONG_EVERY: Duration = Duration::from_millis(APPROVAL_LEASE_MS as u64 / 4);
/// What is long over is dropped so often.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Bytes of an answer that is kept; none of those that change something comes near.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// One per node.
pub struct ApprovalsWorker {
    holding: Arc<Holding>,
    swept_at: Option<Duration>,
}

impl std::fmt::Debug for ApprovalsWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApprovalsWorker").finish_non_exhaustive()
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(metric::APPROVALS, "outcome" => outcome).increment(1);
}

impl ApprovalsWorker {
    pub(crate) fn new(holding: Arc<Holding>) -> ApprovalsWorker {
        ApprovalsWorker { holding, swept_at: None }
    }

    /// Looks again and again until told to stop; what it has begun it brings to its end.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        loop {
            let wait = match self.turn().await {
                Ok(_) => LOOK_EVERY,
                Err(refusal) => {
                    tracing::warn!(%refusal, "approved acts wait for the database");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.holding.shared.approved.notified() => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One look at everything that is due; how many it brought to an end.
    pub async fn turn(&mut self) -> Result<usize, Refusal> {
        let tenancy = Arc::clone(&self.holding.shared.control.tenancy);
        let due = tenancy.approvals_due().await?;
        let mut ended = 0;
        for approval in &due {
            ended += usize::from(self.bring_on(approval).await?);
        }
        metrics::gauge!(metric::APPROVALS_WAITING).set(tenancy.approvals_waiting().await? as f64);
        let now = self.holding.shared.control.clock.monotonic();
        if self.swept_at.is_none_or(|at| now.saturating_sub(at) >= SWEEP_EVERY) {
            self.swept_at = Some(now);
            tenancy.sweep_approvals().await?;
        }
        Ok(ended)
    }

    async fn bring_on(&self, approval: &Approval) -> Result<bool, Refusal> {
        let tenancy = &self.holding.shared.control.tenancy;
        let close = async |state, why: &str| {
            let end = ApprovalEnd::because(state, why);
            let closed = tenancy.close_approval(approval.id, approval.state, end).await?;
            if let Some(closed) = &closed {
                self.tell(closed).await?;
            }
            Ok(closed.is_some())
        };
        match (approval.state, approval.mode) {
            (ApprovalState::Pending, _) => {
                close(ApprovalState::Expired, "nobody decided in time").await
            }
            (_, ApprovalMode::Pass) if approval.carried_at.is_some() => {
                close(ApprovalState::Done, "its time is over").await
            }
            (_, ApprovalMode::Pass) => {
                close(ApprovalState::Expired, "it was approved and not used in time").await
            }
            (ApprovalState::Running, _) if !self.is_repeated(approval) => {
                let why = "the process that carried it out ended in the middle of it: look whether \
                           it was done before asking again";
                close(ApprovalState::Failed, why).await
            }
            (ApprovalState::Running, _) if approval.carried_at.is_some() => {
                let why = "what it changes was written; its answer was lost with the process that \
                           carried it out";
                close(ApprovalState::Done, why).await
            }
            _ => match tenancy.claim_approval(approval.id).await? {
                Some(turn) => self.carry_out(approval, turn).await,
                None if approval.attempt > 0 && approval.state == ApprovalState::Running => {
                    let why = "every process that began to carry it out ended in the middle of it";
                    close(ApprovalState::Failed, why).await
                }
                None => Ok(false),
            },
        }
    }

    fn is_repeated(&self, approval: &Approval) -> bool {
        self.holding.shared.acts.named(&approval.act).is_some_and(Act::is_repeated)
    }

    /// In this turn, which is prolonged as long as it takes.
    async fn carry_out(&self, approval: &Approval, turn: ApprovalTurn) -> Result<bool, Refusal> {
        let tenancy = &self.holding.shared.control.tenancy;
        let end = {
            let work = self.act(approval, turn);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    end = &mut work => break end?,
                    () = tokio::time::sleep(PROLONG_EVERY) => {
                        tenancy.prolong_approval(turn).await?;
                    }
                }
            }
        };
        let ended = tenancy.end_approval(turn, end).await?;
        self.tell(&ended).await?;
        Ok(true)
    }

    /// What comes of it. An error leaves the turn to be taken again.
    async fn act(&self, approval: &Approval, turn: ApprovalTurn) -> Result<ApprovalEnd, Refusal> {
        let shared = &self.holding.shared;
        let void = |why: &str| Ok(ApprovalEnd::because(ApprovalState::Void, why));
        let failed = |why: &str| Ok(ApprovalEnd::because(ApprovalState::Failed, why));
        let Some(act) = shared.acts.named(&approval.act) else {
            return failed("this version has no such act any more");
        };
        let Some(who) = asker(shared, approval).await? else {
            return void("who asked is gone, or may it no more");
        };
        if !still_approved(shared, approval).await? {
            return void("who approved is gone, or may it no more");
        }
        let (who, peer) = (Arc::new(who), peer(approval));
        let now = before::read(&self.holding, act, &approval.path, &who, &peer).await?;
        if now.digest != approval.before_digest {
            return failed("what it is about has changed since it was asked for: ask again");
        }
        let (kept, body) = match open(shared, &approval.sealed, &approval.digest) {
            Ok(opened) => opened,
            Err(refusal) => return failed(&refusal.to_string()),
        };
        let Ok(request) = request(approval, kept.headers, body, (who, peer, turn)) else {
            return failed("what was asked for cannot be sent any more");
        };
        let Ok(response) = self.holding.bare.clone().call(request).await;
        Ok(end_of(shared, approval, response).await)
    }

    /// Writes to who asked, and counts.
    async fn tell(&self, ended: &Approval) -> Result<(), Refusal> {
        count(ended.state.name());
        write_to_asker(&self.holding.shared, ended).await
    }
}

/// A letter to who asked, that it was decided or ended.
pub(crate) async fn write_to_asker(shared: &Shared, ended: &Approval) -> Result<(), Refusal> {
    let people = &shared.control.people;
    let Some(user) = ended.asker_user else { return Ok(()) };
    let then = Circumstances::at(ended.asked_at);
    let Some(absent) = people.absent(user, then).await? else { return Ok(()) };
    let decided = match &ended.decider {
        Some(decider) => format!("\nDecided by {decider}: {}\n", ended.comment),
        None => String::new(),
    };
    let text = format!(
        "What you asked for at Mainstem is {}:\n\n{} {}\n{decided}{}\n\n{}\n",
        ended.state.name(),
        ended.method,
        ended.path,
        ended.outcome.as_deref().unwrap_or_default(),
        people.page("approvals"),
    );
    let subject = format!("What you asked for is {}", ended.state.name());
    people.tell(&absent.user, &subject, text);
    Ok(())
}

/// As from where it was asked; the trail finds what was done by the approval's name.
fn peer(approval: &Approval) -> Peer {
    let address = approval.address.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Peer {
        address: SocketAddr::new(address, 0),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId(approval.id.to_string().into()),
    }
}

fn request(
    approval: &Approval,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    (who, peer, turn): (Arc<Who>, Peer, ApprovalTurn),
) -> Result<Request<Body>, Refusal> {
    let method = Method::from_bytes(approval.method.as_bytes());
    let method = method.map_err(|error| Refusal::internal(&error))?;
    let mut request = Request::builder().method(method).uri(&approval.path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.extension(Admitted(who)).extension(peer).extension(InTurn(turn));
    request.body(Body::from(body)).map_err(|error| Refusal::internal(&error))
}

/// Keeps the answer: what anybody may see of it as it is, the whole of it sealed for who asked.
async fn end_of(shared: &Shared, approval: &Approval, response: Response) -> ApprovalEnd {
    let (parts, body) = response.into_parts();
    let bytes = read_body(body, ANSWER_BYTES_MAX).await.unwrap_or_else(|_| Bytes::new());
    let whole: Option<Value> = serde_json::from_slice(&bytes).ok();
    let is_done = parts.status.is_success();
    let shown = parts.extensions.get::<Kept>().map(|Kept(value)| value.clone());
    let has_secret = is_done && shown.is_some() && shown != whole;
    let outcome = whole.as_ref().filter(|_| !is_done).map(|body| {
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("code"), text("message"))
    });
    ApprovalEnd {
        state: if is_done { ApprovalState::Done } else { ApprovalState::Failed },
        outcome,
        status: Some(parts.status.as_u16()),
        answer: shown.or(whole),
        sealed_answer: has_secret.then(|| seal_answer(shared, &bytes, &approval.digest)),
    }
}
