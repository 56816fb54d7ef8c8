//! A tenant becomes a customer and takes a subscription; what the next invoice will be.

use crate::Billing;
use crate::client::Post;
use port::{Change, Code, Refusal};
use serde_json::Value;
use tenancy::{Actor, SubscriptionNote, TenantPatch};
use types::TenantId;

/// Lines of a preview that are shown.
const LINES_MAX: usize = 100;

/// The next invoice as Stripe sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    pub currency: String,
    /// Minor units; credits may make it negative.
    pub total_minor: i64,
    pub amount_due_minor: i64,
    pub lines: Vec<PreviewLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewLine {
    pub description: String,
    pub amount_minor: i64,
}

fn text(value: &Value, name: &str) -> Result<String, Refusal> {
    let text = value[name].as_str().map(str::to_owned);
    text.ok_or_else(|| Refusal::internal(&format!("Stripe's answer has no `{name}`")))
}

impl Billing {
    /// The tenant's customer at Stripe, made when there is none. Asked for twice at once, Stripe
    /// makes it once: the request is named after the tenant.
    pub async fn customer(&self, tenant: TenantId, by: &Actor) -> Result<String, Refusal> {
        let found = self.tenancy.tenant(tenant).await?;
        if let Some(customer) = found.stripe_customer_id {
            return Ok(customer);
        }
        let id = tenant.to_string();
        let made = self
            .client
            .post_patiently(&Post {
                path: "/v1/customers",
                fields: &[("name", &found.name), ("metadata[mainstem_tenant]", &id)],
                idempotency_key: &format!("mainstem:customer:{id}"),
            })
            .await?;
        let customer = text(&made, "id")?;
        let patch =
            TenantPatch { stripe_customer_id: Some(customer.clone()), ..TenantPatch::default() };
        self.tenancy.update_tenant(tenant, patch, by).await?;
        Ok(customer)
    }

    /// Takes a subscription to the prices of the tenant's plan; answers its number. One that is
    /// there already stays.
    pub async fn subscribe(&self, tenant: TenantId, by: &Actor) -> Result<String, Refusal> {
        let account = self.tenancy.account(tenant).await?;
        if let Some(subscription) = account.stripe_subscription_id {
            return Ok(subscription);
        }
        let plan = self.tenancy.tenant(tenant).await?.plan;
        let prices = self.config.prices.get(plan.name()).filter(|prices| !prices.is_empty());
        let prices = prices.ok_or_else(|| {
            Refusal::new(Code::Conflict, format!("the plan `{}` has no price", plan.name()))
                .field("plan")
                .hint("name its prices in `billing.prices`")
        })?;
        let customer = self.customer(tenant, by).await?;
        let names: Vec<String> =
            (0..prices.len()).map(|at| format!("items[{at}][price]")).collect();
        let id = tenant.to_string();
        let mut fields =
            vec![("customer", customer.as_str()), ("metadata[mainstem_tenant]", id.as_str())];
        fields.extend(names.iter().map(String::as_str).zip(prices.iter().map(String::as_str)));
        // One that ended may be followed by another: its name holds how many there were.
        let ended = account.stripe_status.as_deref().unwrap_or("first");
        let key = format!("mainstem:subscription:{id}:{}:{ended}", plan.name());
        let post = Post { path: "/v1/subscriptions", fields: &fields, idempotency_key: &key };
        let made = self.client.post_patiently(&post).await?;
        let subscription = text(&made, "id")?;
        let status = made["status"].as_str().unwrap_or("incomplete").to_owned();
        let note = SubscriptionNote { subscription: Some(subscription.clone()), status };
        self.tenancy.note_subscription(tenant, &note, by).await?;
        self.live.changed(Change::Tenant(tenant));
        Ok(subscription)
    }

    /// The invoice that Stripe would make now.
    pub async fn preview(&self, tenant: TenantId) -> Result<Preview, Refusal> {
        let found = self.tenancy.tenant(tenant).await?;
        let account = self.tenancy.account(tenant).await?;
        let (Some(customer), Some(subscription)) =
            (found.stripe_customer_id, account.stripe_subscription_id)
        else {
            return Err(Refusal::new(Code::NotFound, "the tenant has no subscription"));
        };
        let now = self.clock.now_ms();
        let answer = self
            .client
            .post_patiently(&Post {
                path: "/v1/invoices/create_preview",
                fields: &[("customer", &customer), ("subscription", &subscription)],
                // Nothing is made: each question is its own.
                idempotency_key: &format!("mainstem:preview:{tenant}:{now}"),
            })
            .await?;
        let amount = |value: &Value, name: &str| value[name].as_i64().unwrap_or_default();
        let lines = answer["lines"]["data"].as_array().into_iter().flatten().take(LINES_MAX);
        let line = |line: &Value| PreviewLine {
            description: line["description"].as_str().unwrap_or_default().to_owned(),
            amount_minor: amount(line, "amount"),
        };
        Ok(Preview {
            currency: answer["currency"].as_str().unwrap_or_default().to_owned(),
            total_minor: amount(&answer, "total"),
            amount_due_minor: amount(&answer, "amount_due"),
            lines: lines.map(line).collect(),
        })
    }
}
