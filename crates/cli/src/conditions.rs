//! Under which circumstances a role counts, as arguments: `--network 10.0.0.0/8 --hours "mon-fri
//! 08:00-18:00" --zone Europe/Berlin`. What they mean is the server's to say.

use serde_json::{Map, Value, json};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

#[derive(clap::Args, Debug, Default)]
#[group(id = "role_conditions", multiple = true)]
pub struct Conditions {
    /// The role counts from this network only, `10.0.0.0/8`; may be repeated.
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// In these hours only: `08:00-18:00`, `mon-fri 08:00-18:00`, `sat,sun 22:00-06:00`; may be
    /// repeated.
    #[arg(long, value_parser = window, value_name = "HOURS")]
    hours: Vec<Value>,
    /// Whose clocks show these hours, `Europe/Berlin`; UTC when absent.
    #[arg(long, requires = "hours")]
    zone: Option<String>,
    /// Only in sessions proven with a second factor or a passkey.
    #[arg(long)]
    strong_sign_in: bool,
    /// Only so many minutes after the person signed in or proved anew who he is.
    #[arg(long, value_name = "MINUTES")]
    signed_in_minutes_max: Option<u32>,
    /// Over TLS only.
    #[arg(long)]
    tls: bool,
    /// Only if this was noted of the person, `department=ops,legal`; may be repeated.
    #[arg(long = "attribute", value_parser = attribute, value_name = "NAME=VALUES")]
    attributes: Vec<(String, Vec<String>)>,
}

/// `mon-fri 08:00-18:00` as the API writes it.
pub(crate) fn window(text: &str) -> Result<Value, String> {
    let rule = || format!("`{text}` are no hours: write `mon-fri 08:00-18:00` or `08:00-18:00`");
    let (days, times) = match text.trim().rsplit_once(' ') {
        Some((days, times)) => (Some(days.trim()), times),
        None => (None, text.trim()),
    };
    let (from, to) = times.split_once('-').ok_or_else(rule)?;
    let mut made = json!({"from": from, "to": to});
    if let Some(days) = days {
        let mut found: Vec<&str> = Vec::new();
        for part in days.split(',') {
            found.extend(span(part).ok_or_else(rule)?);
        }
        made["days"] = json!(found);
    }
    Ok(made)
}

/// `mon`, or `mon-fri`; one that ends before it begins goes over Sunday.
fn span(text: &str) -> Option<Vec<&'static str>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let index = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let (first, last) = (index(first)?, index(last)?);
    let count = (last + DAYS.len() - first) % DAYS.len() + 1;
    Some(DAYS.iter().cycle().skip(first).take(count).copied().collect())
}

/// `department=ops,legal`.
pub(crate) fn attribute(text: &str) -> Result<(String, Vec<String>), String> {
    let rule = || format!("`{text}` is no attribute: write `department=ops`");
    let (name, values) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(rule)?;
    Ok((name.to_owned(), values.split(',').map(|value| value.trim().to_owned()).collect()))
}

impl Conditions {
    /// As the API reads them; an empty object is none.
    pub(crate) fn body(&self) -> Value {
        let mut made = Map::new();
        let mut put = |name: &str, value: Value| {
            made.insert(name.to_owned(), value);
        };
        if !self.networks.is_empty() {
            put("networks", json!(self.networks));
        }
        if !self.hours.is_empty() {
            let mut hours = json!({"windows": self.hours});
            if let Some(zone) = &self.zone {
                hours["zone"] = json!(zone);
            }
            put("hours", hours);
        }
        if self.strong_sign_in {
            put("strong_sign_in", json!(true));
        }
        if let Some(minutes) = self.signed_in_minutes_max {
            put("signed_in_minutes_max", json!(minutes));
        }
        if self.tls {
            put("tls", json!(true));
        }
        if !self.attributes.is_empty() {
            let attributes: Map<String, Value> =
                self.attributes.iter().map(|(name, of)| (name.clone(), json!(of))).collect();
            put("attributes", attributes.into());
        }
        Value::Object(made)
    }

    /// `None`: none was given.
    pub(crate) fn given(&self) -> Option<Value> {
        let body = self.body();
        Some(body).filter(|body| body.as_object().is_some_and(|fields| !fields.is_empty()))
    }
}
