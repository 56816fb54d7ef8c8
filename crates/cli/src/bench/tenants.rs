//! Many tenants, and one that publishes far beyond its quota: what the others feel of it. It needs
//! the operator's token, to make tenants with a quota and to suspend them afterwards.

use super::case::pressed;
use super::dialects::{Follow, Publish, Role};
use super::report::emit;
use super::scene::{Group, Scene, Setting, Topics, make_topics};
use crate::Outcome;
use crate::target::{Api, Target};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm::press::Pressed;
use swarm::{Lead, Press, Rate, Signals, Work};

/// Made at the same time.
const MAKING_MAX: usize = 4;
const TRIES_MAX: u32 = 60;
const TRY_AGAIN: Duration = Duration::from_millis(250);
const TOPIC: &str = "bench-tenants";

#[derive(clap::Args, Debug, Clone)]
pub struct TenantsBench {
    #[arg(long, default_value_t = 1000)]
    tenants: u32,
    /// Publishes per second each project may make.
    #[arg(long, default_value_t = 100)]
    quota: u32,
    /// How many times its quota the loud tenant publishes.
    #[arg(long, default_value_t = 10.0)]
    loud: f64,
    /// Records per second of all other tenants together.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Seconds with the loud tenant, and as many before for comparison.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Connections opened per second.
    #[arg(long, default_value_t = 1_000.0)]
    connect_rate: f64,
    #[command(flatten)]
    setting: Setting,
}

/// A tenant of this load.
struct Made {
    tenant: String,
    secret: String,
}

impl TenantsBench {
    pub async fn run(&self, target: &Target) -> Outcome {
        let (api, admin) = (target.public_as(String::new())?, target.admin().await?);
        let made = self.make(&api, &admin).await;
        let secrets = made.iter().flatten().map(|one| one.secret.clone()).collect::<Vec<_>>();
        let outcome = match &made {
            Ok(_) => {
                let (bench, scene) = (self.clone(), Scene::new(&api, &self.setting)?);
                super::blocking(move || bench.measure(&scene, &secrets)).await
            }
            Err(why) => Err(why.clone()),
        };
        for one in made.iter().flatten() {
            let path = format!("/v1/tenants/{}/suspend", one.tenant);
            let body = json!({ "reason": "the load is over" });
            admin.call(admin.request(Method::POST, &path).json(&body)).await?;
        }
        emit("tenants", outcome?, self.setting.json.as_deref())
    }

    async fn make(&self, api: &Api, admin: &Api) -> Result<Vec<Made>, String> {
        let (mut making, mut made) = (tokio::task::JoinSet::new(), Vec::new());
        let run = std::process::id();
        for number in 0..self.tenants.max(2) {
            if making.len() >= MAKING_MAX
                && let Some(one) = making.join_next().await
            {
                made.push(one.map_err(|error| error.to_string())??);
            }
            let (api, admin, quota) = (api.clone(), admin.clone(), self.quota);
            let name = format!("bench-{run}-{number}");
            making.spawn(async move { one_tenant(&api, &admin, &name, quota).await });
        }
        while let Some(one) = making.join_next().await {
            made.push(one.map_err(|error| error.to_string())??);
        }
        Ok(made)
    }

    /// The first secret is the loud tenant's.
    fn measure(&self, scene: &Scene, secrets: &[String]) -> Result<Value, String> {
        let [loud, others @ ..] = secrets else { return Err("too few tenants".to_owned()) };
        let count = others.len() as u32;
        let followers = Group {
            dialect: Follow::WsJson.name(),
            role: Role::Follow,
            address: TOPIC.to_owned(),
            streams: count,
            count,
            per_second: self.connect_rate,
            secrets: others.to_vec(),
        };
        let publishers = Group { role: Role::Publish, ..followers.clone() };
        let one = |role| Group {
            role,
            streams: 1,
            count: 1,
            secrets: vec![loud.clone()],
            dialect: Publish::WsJson.name(),
            ..followers.clone()
        };
        let mut plan = scene.plan(&followers)?;
        plan.retries_max = TRIES_MAX;
        let mut lead = scene.open(&plan)?;
        let _loud_follower = scene.open(&scene.plan(&one(Role::Follow))?)?;
        let mut press = scene.press(&publishers)?;
        let mut loud_press = scene.press(&one(Role::Publish))?;
        let work = Work {
            rate: Rate::Even { per_second: self.rate.max(1.0) },
            streams: count,
            bytes: self.size,
            batch: 1,
            seconds: self.seconds,
            records_max: 0,
        };
        // The first run warms up.
        pressed(&mut lead, &mut press, &Work { seconds: self.seconds.min(2.0), ..work }, count)?;
        lead.measure()?;
        let calm = pressed(&mut lead, &mut press, &work, count)?;
        let before = lead.report()?.all;
        lead.measure()?;
        let watch = scene.watch()?;
        let loud_work = Work {
            rate: Rate::Even { per_second: f64::from(self.quota) * self.loud },
            streams: 1,
            ..work
        };
        let (during, noise) =
            loud_beside(&mut lead, &mut press, &work, &mut loud_press, &loud_work)?;
        let after = lead.report()?.all;
        let ratio = after.latencies.at_ms(0.99) / before.latencies.at_ms(0.99).max(1e-3);
        Ok(json!({
            "tenants": self.tenants,
            "quota_per_second": self.quota,
            "loud": { "sent": noise.records, "accepted": noise.answered, "refused": noise.refused,
                      "refusal": noise.refusal, "seconds": noise.seconds },
            "delivery_before": before.latencies.summary(),
            "delivery_during": after.latencies.summary(),
            "p99_ratio": ratio,
            "acknowledged_before": calm.pressed.latencies.summary(),
            "acknowledged_during": during.pressed.latencies.summary(),
            "missing": calm.expected + during.expected - before.deliveries - after.deliveries,
            "others_refused": calm.pressed.refused + during.pressed.refused,
            "server": watch.map(|watch| watch.told(after.deliveries)),
        }))
    }
}

fn loud_beside(
    lead: &mut Lead,
    press: &mut Press,
    work: &Work,
    loud: &mut Press,
    loud_work: &Work,
) -> Result<(super::case::Done, Pressed), String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let noise =
            scope.spawn(|| loud.run(loud_work, &Signals { received: &|| 0.0, stop: &stop }));
        let during = pressed(lead, press, work, work.streams);
        stop.store(true, Ordering::Relaxed);
        let noise = noise.join().map_err(|_| "the loud publisher failed".to_owned())?;
        Ok((during?, noise?))
    })
}

async fn one_tenant(api: &Api, admin: &Api, name: &str, quota: u32) -> Result<Made, String> {
    let post = async |path: String, body: Value| {
        admin.call(admin.request(Method::POST, &path).json(&body)).await
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tenant = text(
        &post("/v1/tenants".to_owned(), json!({ "name": name, "plan": "enterprise" })).await?["id"],
    );
    let body = json!({ "name": "main", "limits": { "publish_per_second_max": quota } });
    let projects = format!("/v1/tenants/{tenant}/projects");
    let project = text(&post(projects.clone(), body).await?["id"]);
    let scopes = ["events:publish", "events:subscribe", "admin:write"];
    let keys = format!("{projects}/{project}/keys");
    let made = post(keys, json!({ "name": "bench", "scopes": scopes })).await?;
    let secret = text(&made["secret"]);
    let own = Api { secret: secret.clone(), ..api.clone() };
    let topics = Topics { address: TOPIC, streams: 1, durability: "durable" };
    let mut tries = 0;
    // A new key is checked the slow way, and a server checks few of them at a time.
    while let Err(why) = make_topics(&own, topics).await {
        tries += 1;
        if tries > TRIES_MAX || !why.starts_with("OVERLOADED") {
            return Err(why);
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    Ok(Made { tenant, secret })
}
