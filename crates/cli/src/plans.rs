//! `mainstem plans` and `mainstem accounts`: what tenants are promised, what they used of it, and
//! what it costs.

use crate::Outcome;
use crate::admin::{call, object, tenant_path};
use crate::target::{Target, segment};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(clap::Subcommand, Debug)]
pub enum Plans {
    List,
    Show {
        plan: String,
    },
    /// Makes a plan of one's own or changes it, in force for its tenants at once.
    Put {
        plan: String,
        #[arg(long)]
        title: String,
        /// JSON, for instance `{"base_minor": 900, "metrics": {"events_published": {"included":
        /// 1000000, "hard_max": 5000000}}}`.
        #[arg(long, value_parser = object)]
        terms: Value,
    },
    /// No tenant takes the plan any more; those who have it keep it.
    Archive {
        plan: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Accounts {
    /// Plan, the month's use and cost so far, forecast, budgets.
    Show { tenant: String },
    /// Moves a tenant to a plan.
    Move { tenant: String, plan: String },
    /// `trial`, `active` or `past_due`; each starts or stops its clock.
    Status { tenant: String, status: String },
    /// Sets a budget for each calendar month.
    Budget {
        tenant: String,
        name: String,
        /// Minor units of the plan's currency, or units of the metric.
        amount: u64,
        /// A metric's name; absent: money.
        #[arg(long)]
        metric: Option<String>,
        /// `warn`, or `stop`: further use is refused until the month is over.
        #[arg(long, default_value = "warn")]
        action: String,
    },
    /// Drops a budget.
    DropBudget { tenant: String, budget: String },
}

fn plan_path(plan: &str) -> String {
    format!("/v1/plans/{}", segment(plan))
}

type Request = (Method, String, Option<Value>);

impl Plans {
    fn request(&self) -> Request {
        match self {
            Plans::List => (Method::GET, "/v1/plans".to_owned(), None),
            Plans::Show { plan } => (Method::GET, plan_path(plan), None),
            Plans::Put { plan, title, terms } => {
                let body = json!({"title": title, "terms": terms});
                (Method::PUT, plan_path(plan), Some(body))
            }
            Plans::Archive { plan } => (Method::DELETE, plan_path(plan), None),
        }
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        run(target, self.request()).await
    }
}

impl Accounts {
    fn request(&self) -> Request {
        match self {
            Accounts::Show { tenant } => {
                (Method::GET, format!("{}/account", tenant_path(tenant)), None)
            }
            Accounts::Move { tenant, plan } => {
                (Method::PATCH, tenant_path(tenant), Some(json!({"plan": plan})))
            }
            Accounts::Status { tenant, status } => {
                (Method::PATCH, tenant_path(tenant), Some(json!({"status": status})))
            }
            Accounts::Budget { tenant, name, amount, metric, action } => {
                let body =
                    json!({"name": name, "amount": amount, "metric": metric, "action": action});
                (Method::POST, format!("{}/budgets", tenant_path(tenant)), Some(body))
            }
            Accounts::DropBudget { tenant, budget } => {
                let path = format!("{}/budgets/{}", tenant_path(tenant), segment(budget));
                (Method::DELETE, path, None)
            }
        }
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        run(target, self.request()).await
    }
}

async fn run(target: &Target, (method, path, body): Request) -> Outcome {
    let answer = call(&target.admin().await?, method, &path, body).await?;
    match answer {
        Value::Null => Ok(()),
        answer => print(&answer),
    }
}

/// A tenant at Stripe.
#[derive(clap::Subcommand, Debug)]
pub enum Billing {
    /// Makes the tenant a customer and subscribes it to the prices of its plan.
    Subscribe { tenant: String },
    /// The invoice that Stripe would make now.
    Preview { tenant: String },
    /// What was and is to be reported.
    Reports {
        tenant: String,
        /// `pending`, `sent` or `stuck`.
        #[arg(long)]
        state: Option<String>,
    },
    /// Decides what became of a report that is stuck.
    Settle {
        tenant: String,
        identifier: String,
        /// `sent`: Stripe has it. `pending`: Stripe does not, send it again.
        #[arg(long = "as")]
        state: String,
    },
}

impl Billing {
    fn request(&self) -> Request {
        let path = |tenant: &str, rest: &str| format!("{}/stripe/{rest}", tenant_path(tenant));
        match self {
            Billing::Subscribe { tenant } => (Method::POST, path(tenant, "subscribe"), None),
            Billing::Preview { tenant } => (Method::GET, path(tenant, "preview"), None),
            Billing::Reports { tenant, state } => {
                let query = state.as_ref().map(|state| format!("?state={}", segment(state)));
                let rest = format!("reports{}", query.unwrap_or_default());
                (Method::GET, path(tenant, &rest), None)
            }
            Billing::Settle { tenant, identifier, state } => {
                let body = json!({"identifier": identifier, "state": state});
                (Method::POST, path(tenant, "reports/settle"), Some(body))
            }
        }
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        run(target, self.request()).await
    }
}
