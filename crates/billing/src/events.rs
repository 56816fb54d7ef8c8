//! What Stripe tells: who paid, whose payment failed, which subscriptions began and ended. Each
//! event is taken once, by its number, and acted on only if nothing newer of the same tenant was.

use crate::Billing;
use crate::signature::{Unproven, verify};
use port::{Change, Code, Refusal, metric};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenancy::{Actor, SubscriptionNote, TakenEvent};
use types::TenantId;

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    Paid,
    Failed,
    Subscribed { subscription: String, status: String },
    Unsubscribed { subscription: String },
    Nothing,
}

fn refuse(why: Unproven) -> Refusal {
    let message = match why {
        Unproven::Malformed => "the signature is not of Stripe's form",
        Unproven::Wrong => "the signature does not fit the body",
        Unproven::Stale => "the signature is too old, or of the future",
    };
    Refusal::new(Code::InvalidToken, message).field("Stripe-Signature")
}

fn effect_of(kind: &str, object: &Value) -> Effect {
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    match kind {
        "invoice.paid" | "invoice.payment_succeeded" => Effect::Paid,
        "invoice.payment_failed" => Effect::Failed,
        "customer.subscription.created" | "customer.subscription.updated" => {
            Effect::Subscribed { subscription: text("id"), status: text("status") }
        }
        "customer.subscription.deleted" => Effect::Unsubscribed { subscription: text("id") },
        _ => Effect::Nothing,
    }
}

impl Billing {
    /// Takes a webhook's body, proven by its signature. An error makes Stripe send it again.
    pub(crate) async fn take_event(&self, signature: &str, body: &[u8]) -> Result<(), Refusal> {
        let Some(secret) = &self.keys.webhook_secret else {
            return Err(Refusal::new(Code::Unsupported, "no webhook secret is configured")
                .field("billing.webhook_secret"));
        };
        let now_s = self.clock.now_ms().div_euclid(1_000);
        let tolerance = self.config.tolerance_seconds;
        verify(secret.expose_secret(), signature, body, now_s, tolerance).map_err(refuse)?;
        let event: Value = serde_json::from_slice(body)
            .map_err(|_| Refusal::new(Code::InvalidRequest, "the body is not JSON"))?;
        let (Some(id), Some(kind)) = (event["id"].as_str(), event["type"].as_str()) else {
            return Err(Refusal::new(Code::InvalidRequest, "the body is not an event"));
        };
        let created_s = event["created"].as_i64().unwrap_or_default();
        let _one_at_a_time = self.taking.lock().await;
        let object = &event["data"]["object"];
        let customer = object["customer"].as_str().or(object["customer"]["id"].as_str());
        let tenant = match customer {
            Some(customer) => self.tenancy.tenant_of_stripe_customer(customer).await?,
            None => None,
        };
        let outcome = self.tenancy.stripe_event(tenant, id, created_s).await?;
        let name = match outcome {
            TakenEvent::Fresh => "taken",
            TakenEvent::Repeated => "repeated",
            TakenEvent::Outdated => "outdated",
        };
        metrics::counter!(metric::STRIPE_EVENTS, "outcome" => name).increment(1);
        if outcome == TakenEvent::Repeated {
            return Ok(());
        }
        if let Some(tenant) = tenant.filter(|_| outcome == TakenEvent::Fresh) {
            let effect = effect_of(kind, object);
            tracing::info!(%tenant, kind, ?effect, "an event of Stripe");
            self.act(tenant, effect, json!({"event": id, "object": object["id"]})).await?;
        }
        // Last: an event that could not be acted on comes again.
        self.tenancy.end_stripe_event(tenant, id, kind, created_s).await?;
        Ok(())
    }

    async fn act(&self, tenant: TenantId, effect: Effect, details: Value) -> Result<(), Refusal> {
        let by = Actor::system();
        match effect {
            Effect::Nothing => return Ok(()),
            Effect::Paid => {
                self.tenancy.payment_succeeded(tenant, details, &by).await?;
            }
            Effect::Failed => {
                self.tenancy.payment_failed(tenant, details, &by).await?;
            }
            Effect::Subscribed { subscription, status } => {
                let note = SubscriptionNote { subscription: Some(subscription), status };
                self.tenancy.note_subscription(tenant, &note, &by).await?;
            }
            Effect::Unsubscribed { subscription } => {
                let account = self.tenancy.account(tenant).await?;
                // The end of one that was replaced before ends nothing.
                if account.stripe_subscription_id.is_none_or(|known| known == subscription) {
                    let status = "canceled".to_owned();
                    let note = SubscriptionNote { subscription: None, status };
                    self.tenancy.note_subscription(tenant, &note, &by).await?;
                }
            }
        }
        self.live.changed(Change::Tenant(tenant));
        Ok(())
    }
}
