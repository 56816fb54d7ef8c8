//! Asking for and changing configurations: of topics, and the little that a client may know of the
//! broker.

use crate::apis::metadata;
use crate::apis::settings::{self, SETTINGS, Setting, Type};
use crate::call::{Call, NODE_ID, parse_topic};
use crate::errors;
use crate::groups;
use crate::messages::alter_configs::{self, AlterConfigsRequest, AlterConfigsResponse};
use crate::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::messages::incremental_alter_configs::{
    self, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use crate::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use port::Refusal;
use types::{Operation, TopicConfig, limits};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
/// Where a value comes from (`DescribeConfigsResponse.ConfigSource` in Kafka's clients).
const FROM_TOPIC: i8 = 1;
const FROM_BROKER: i8 = 4;
const FROM_DEFAULT: i8 = 5;

/// What is done to a setting (KIP-339).
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Change = (String, i8, Option<String>);

/// Whether a topic's value is its own.
pub fn source(config: &TopicConfig, setting: &Setting) -> i8 {
    let usual = TopicConfig { partitions: config.partitions, ..TopicConfig::default() };
    if (setting.get)(config) == (setting.get)(&usual) { FROM_DEFAULT } else { FROM_TOPIC }
}

fn row(
    name: &str,
    kind: Type,
    meaning: &str,
    value: String,
    (config_source, read_only): (i8, bool),
) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: name.to_owned(),
        synonyms: vec![DescribeConfigsSynonym {
            name: name.to_owned(),
            value: Some(value.clone()),
            source: config_source,
        }],
        value: Some(value),
        read_only,
        config_source,
        is_sensitive: false,
        config_type: kind as i8,
        documentation: Some(meaning.to_owned()),
    }
}

pub async fn describe(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut results = Vec::with_capacity(request.resources.len());
    let with = (request.include_synonyms, request.include_documentation);
    for asked in request.resources {
        let rows = match asked.resource_type {
            TOPIC => of_topic(call, &asked.resource_name).await,
            BROKER if is_broker(&asked.resource_name) => Ok(of_broker(call)),
            GROUP => of_group(call, &asked.resource_name),
            _ => Err((errors::INVALID_REQUEST, "there is no such resource".to_owned())),
        };
        results.push(answer(asked, rows, with));
    }
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

fn answer(
    asked: DescribeConfigsResource,
    rows: Result<Vec<DescribeConfigsResourceResult>, (i16, String)>,
    (has_synonyms, has_documentation): (bool, bool),
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        resource_type: asked.resource_type,
        resource_name: asked.resource_name,
        ..DescribeConfigsResult::default()
    };
    match rows {
        Err((error, message)) => {
            result.error_code = error;
            result.error_message = Some(message);
        }
        Ok(mut rows) => {
            if let Some(keys) = asked.configuration_keys {
                rows.retain(|row| keys.contains(&row.name));
            }
            for row in &mut rows {
                if !has_synonyms {
                    row.synonyms.clear();
                }
                if !has_documentation {
                    row.documentation = None;
                }
            }
            result.configs = rows;
        }
    }
    result
}

fn is_broker(name: &str) -> bool {
    name.is_empty() || name == NODE_ID.to_string()
}

async fn of_topic(
    call: &Call,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, (i16, String)> {
    let refused = |refusal: Refusal| (errors::of_topic(&refusal), refusal.to_string());
    let name = parse_topic(name).map_err(refused)?;
    let config = call.hub.topic(&call.who, &name).await.map_err(refused)?.config;
    let rows = SETTINGS.iter().map(|setting| {
        let from = (source(&config, setting), setting.set.is_none());
        row(setting.name, setting.kind, setting.meaning, (setting.get)(&config), from)
    });
    Ok(rows.collect())
}

/// Every group has the same (KIP-848), whether it is there or not.
fn of_group(call: &Call, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, (i16, String)> {
    let why = || "this takes `events:subscribe`, and `describe` of the group".to_owned();
    groups::check(call, name, Operation::Describe).map_err(|error| (error, why()))?;
    let config = &call.desk.config;
    let int = |name: &str, meaning: &str, value: u64| {
        row(name, Type::Int, meaning, value.to_string(), (FROM_BROKER, true))
    };
    Ok(vec![
        int(
            "consumer.heartbeat.interval.ms",
            "between the heartbeats of a member",
            config.consumer_heartbeat_ms,
        ),
        int(
            "consumer.session.timeout.ms",
            "after which a silent member is given up",
            config.consumer_session_ms,
        ),
    ])
}

fn of_broker(call: &Call) -> Vec<DescribeConfigsResourceResult> {
    let config = &call.desk.config;
    let int = |name: &str, meaning: &str, value: String| {
        row(name, Type::Long, meaning, value, (FROM_BROKER, true))
    };
    vec![
        int("broker.id", "the only one", NODE_ID.to_string()),
        int("default.replication.factor", "of new topics", "1".to_owned()),
        int(
            "group.initial.rebalance.delay.ms",
            "how long the first round of a group waits",
            config.first_rebalance_ms.to_string(),
        ),
        int("group.max.size", "members of a group", config.members_max.to_string()),
        int(
            "group.max.session.timeout.ms",
            "that a member may ask for",
            config.session_ms_max.to_string(),
        ),
        int(
            "group.min.session.timeout.ms",
            "that a member may ask for",
            config.session_ms_min.to_string(),
        ),
        int("message.max.bytes", "of one batch", limits::APPEND_BYTES_MAX.to_string()),
        int("num.partitions", "of new topics", config.topic_partitions.to_string()),
    ]
}

/// What can be asked for by `describe` (KIP-1142).
pub async fn list(call: &Call, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    // The first version knows the metrics of clients only, of which there are none.
    let is_wanted = |kind: i8| {
        call.version > 0
            && (request.resource_types.is_empty() || request.resource_types.contains(&kind))
    };
    let mut config_resources = Vec::new();
    if is_wanted(TOPIC) {
        match metadata::all(call).await {
            Ok(topics) => config_resources.extend(topics.iter().map(|topic| ConfigResource {
                resource_name: topic.name.as_str().to_owned(),
                resource_type: TOPIC,
            })),
            Err(refusal) => {
                let error_code = errors::of_cluster(&refusal);
                return ListConfigResourcesResponse { error_code, ..Default::default() };
            }
        }
    }
    if is_wanted(BROKER) {
        let resource_name = NODE_ID.to_string();
        config_resources.push(ConfigResource { resource_name, resource_type: BROKER });
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

/// Changes some settings of one resource; the others stay.
async fn alter(
    call: &Call,
    (kind, name): (i8, &str),
    changes: Vec<Change>,
    from_default: bool,
    validate_only: bool,
) -> (i16, Option<String>) {
    if kind != TOPIC {
        let message = "only topics can be configured here; the broker's settings are in its file";
        return (errors::INVALID_REQUEST, Some(message.to_owned()));
    }
    match alter_topic(call, name, changes, from_default, validate_only).await {
        Ok(()) => (errors::NONE, None),
        Err((error, message)) => (error, Some(message)),
    }
}

async fn alter_topic(
    call: &Call,
    name: &str,
    changes: Vec<Change>,
    from_default: bool,
    validate_only: bool,
) -> Result<(), (i16, String)> {
    let refused = |refusal: Refusal| (errors::of_admin(&refusal), refusal.to_string());
    let name = parse_topic(name).map_err(refused)?;
    let mut config = call.hub.topic(&call.who, &name).await.map_err(refused)?.config;
    if from_default {
        for setting in SETTINGS.iter().filter(|setting| setting.set.is_some()) {
            settings::change(&mut config, setting.name, None)
                .map_err(|why| (errors::INVALID_CONFIG, why))?;
        }
    }
    for (setting, operation, value) in changes {
        let value = match operation {
            SET => value,
            DELETE => None,
            APPEND | SUBTRACT => Some(combined(&config, &setting, operation, value)),
            _ => return Err((errors::INVALID_REQUEST, "there is no such operation".to_owned())),
        };
        settings::change(&mut config, &setting, value.as_deref())
            .map_err(|why| (errors::INVALID_CONFIG, why))?;
    }
    if validate_only {
        return Ok(());
    }
    call.hub.put_topic(&call.who, &name, config).await.map(drop).map_err(refused)
}

/// A list with some words more or fewer.
fn combined(config: &TopicConfig, name: &str, operation: i8, value: Option<String>) -> String {
    let setting = SETTINGS.iter().find(|setting| setting.name == name);
    let now = setting.map(|setting| (setting.get)(config)).unwrap_or_default();
    let given = value.unwrap_or_default();
    let given: Vec<&str> = given.split(',').map(str::trim).collect();
    let mut words: Vec<&str> = now.split(',').filter(|word| !given.contains(word)).collect();
    if operation == APPEND {
        words.extend(given);
    }
    words.join(",")
}

pub async fn alter_some(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let changes =
            asked.configs.into_iter().map(|it| (it.name, it.config_operation, it.value)).collect();
        let at = (asked.resource_type, &*asked.resource_name);
        let (error_code, error_message) =
            alter(call, at, changes, false, request.validate_only).await;
        responses.push(incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
        });
    }
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

/// The old form: what is not given goes back to its default.
pub async fn alter_all(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let changes = asked.configs.into_iter().map(|it| (it.name, SET, it.value)).collect();
        let at = (asked.resource_type, &*asked.resource_name);
        let (error_code, error_message) =
            alter(call, at, changes, true, request.validate_only).await;
        responses.push(alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
        });
    }
    AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
}
