//! Grants as tokens and stored keys write them:
//! `[{"effect":"deny","access":"publish","filter":"orders/+/refund"}]`. An absent effect allows, an
//! absent access is every access. What grants mean is decided in `rules`.

use serde::{Deserialize, Serialize};
use types::{Access, Effect, Filter, Grant};

/// Grants of one credential.
pub const GRANTS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantText {
    #[serde(default)]
    pub effect: EffectName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessName>,
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum EffectName {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessName {
    Publish,
    Subscribe,
}

/// Reads a list; the error names the first bad one in words for the client.
pub fn read(texts: &[GrantText]) -> Result<Vec<Grant>, String> {
    if texts.len() > GRANTS_MAX {
        return Err(format!("there are more than {GRANTS_MAX} grants"));
    }
    let read_one = |(index, text): (usize, &GrantText)| {
        let filter =
            Filter::parse(&text.filter).map_err(|error| format!("grants[{index}]: {error}"))?;
        let effect = match text.effect {
            EffectName::Allow => Effect::Allow,
            EffectName::Deny => Effect::Deny,
        };
        let access = text.access.map(|access| match access {
            AccessName::Publish => Access::Publish,
            AccessName::Subscribe => Access::Subscribe,
        });
        Ok(Grant { effect, access, filter })
    };
    texts.iter().enumerate().map(read_one).collect()
}

/// Reads a stored list.
pub fn read_value(value: &serde_json::Value) -> Result<Vec<Grant>, String> {
    read(&Vec::<GrantText>::deserialize(value).map_err(|error| error.to_string())?)
}

pub fn write(grants: &[Grant]) -> Vec<GrantText> {
    let write_one = |grant: &Grant| GrantText {
        effect: match grant.effect {
            Effect::Allow => EffectName::Allow,
            Effect::Deny => EffectName::Deny,
        },
        access: grant.access.map(|access| match access {
            Access::Publish => AccessName::Publish,
            Access::Subscribe => AccessName::Subscribe,
        }),
        filter: grant.filter.to_string(),
    };
    grants.iter().map(write_one).collect()
}
