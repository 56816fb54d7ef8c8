//! `mainstem acl`: access lists of the installation, a tenant or a project. Without `--tenant` it
//! is the installation's list, with it the tenant's, with `--project` too the project's.

use crate::Outcome;
use crate::admin::call;
use crate::target::{Target, segment};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What an exported file says of itself.
const FORMAT: &str = "mainstem-acl/1";
/// Entries of one request when a list is merged: a body has at most 1 MiB.
const MERGED_MAX: usize = 500;

#[derive(clap::Args, Debug)]
pub struct Acl {
    /// Whose list.
    #[arg(long, global = true)]
    tenant: Option<String>,
    /// A project of the tenant.
    #[arg(long, global = true)]
    project: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Prints the list, or the entries that fit.
    Show {
        /// An earlier version.
        #[arg(long, value_name = "VERSION")]
        at_version: Option<u64>,
        /// Entries that name this principal, themselves, in a group, or by `*`.
        #[arg(long)]
        principal: Option<String>,
        /// Entries that speak of this topic.
        #[arg(long)]
        topic: Option<String>,
    },
    /// Replaces the list by that of a file; says first what is odd about it.
    Apply {
        /// JSON; `-` is standard input.
        file: PathBuf,
        /// Why, for whoever looks at the versions.
        #[arg(long, default_value = "")]
        note: String,
        /// The version it was made from: refused when there is a newer.
        #[arg(long, value_name = "VERSION")]
        at_version: Option<u64>,
        /// Says what would change, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// What is different between two versions; the last two when none is named.
    Diff {
        #[arg(long)]
        from: Option<u64>,
        #[arg(long)]
        to: Option<u64>,
    },
    /// Lists the versions: who wrote them, when and why.
    Versions,
    /// Goes back to a version, as a new one.
    Rollback {
        #[arg(value_name = "VERSION")]
        to_version: u64,
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Would somebody be allowed something, and which entry decides it.
    Explain(Question),
    /// Writes the list into a file that `import` and `apply` read.
    Export {
        /// Standard output when absent.
        file: Option<PathBuf>,
    },
    /// Takes a file's list over: in place of what there is, or with `--merge` entry by entry.
    Import {
        /// JSON; `-` is standard input.
        file: PathBuf,
        /// Keeps entries and groups that the file does not name.
        #[arg(long)]
        merge: bool,
        #[arg(long, default_value = "imported")]
        note: String,
    },
}

#[derive(clap::Args, Debug)]
struct Question {
    /// `key:key_...`, `jwt:<subject>` or `user:usr_...`.
    principal: String,
    /// `publish`, `read`, `subscribe`, `presence`, `describe` or `manage`.
    operation: String,
    /// Left out where it is about a group or an id.
    #[arg(required_unless_present_any = ["consumer_group", "transactional_id"])]
    topic: Option<String>,
    #[arg(long, requires = "topic")]
    key: Option<String>,
    /// About a group of Kafka's consumers.
    #[arg(long, conflicts_with_all = ["topic", "transactional_id"])]
    consumer_group: Option<String>,
    /// About a transactional id of Kafka's producers.
    #[arg(long, conflicts_with = "topic")]
    transactional_id: Option<String>,
    /// The client's address.
    #[arg(long)]
    address: Option<String>,
    /// It comes over TLS.
    #[arg(long)]
    tls: bool,
    /// What its token says: `department=sales`. May be repeated.
    #[arg(long = "attribute", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// When, in ms since 1970.
    #[arg(long)]
    at: Option<i64>,
}

/// An argument of the form `name=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The list in a file: alone, or as `export` wrote it.
fn list_of(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    match value.get("format") {
        None => Ok(value),
        Some(format) if format == FORMAT => {
            value.get("list").cloned().ok_or_else(|| "the file has no `list`".to_owned())
        }
        Some(other) => Err(format!("the file's format is {other}, which is not `{FORMAT}`")),
    }
}

fn read(file: &PathBuf) -> Result<Value, String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| format!("standard input: {error}"))?;
    } else {
        text = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    list_of(&text)
}

impl Acl {
    /// The path with the place and what else is asked for.
    fn path(&self, rest: &str, more: &[(&str, Option<String>)]) -> String {
        let own = [("tenant", self.tenant.clone()), ("project", self.project.clone())];
        let given = own.iter().chain(more).filter_map(|(name, value)| {
            value.as_ref().map(|value| format!("{name}={}", segment(value)))
        });
        let query: Vec<String> = given.collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/v1/acl{rest}{mark}{}", query.join("&"))
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let get = async |path: String| call(&api, Method::GET, &path, None).await;
        let post = async |path: String, body| call(&api, Method::POST, &path, Some(body)).await;
        let number = |number: &Option<u64>| number.map(|number| number.to_string());
        match &self.command {
            Command::Show { principal, topic, at_version: version }
                if principal.is_some() || topic.is_some() =>
            {
                if version.is_some() {
                    return Err("entries are looked for in the newest version only".to_owned());
                }
                let more = [("principal", principal.clone()), ("topic", topic.clone())];
                print(&get(self.path("/entries", &more)).await?)
            }
            Command::Show { at_version: version, .. } => {
                print(&get(self.path("", &[("version", number(version))])).await?)
            }
            Command::Apply { file, note, at_version: version, dry_run } => {
                let list = read(file)?;
                let found = post(self.path("/validate", &[]), json!({"list": list})).await?;
                for warning in found["warnings"].as_array().into_iter().flatten() {
                    let text = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
                    eprintln!("warning: {}: {}", text("field"), text("message"));
                }
                if *dry_run {
                    return print(&found);
                }
                let body = json!({"list": list, "note": note, "version": version});
                print(&call(&api, Method::PUT, &self.path("", &[]), Some(body)).await?)
            }
            Command::Diff { from, to } => print(
                &get(self.path("/diff", &[("from", number(from)), ("to", number(to))])).await?,
            ),
            Command::Versions => print(&get(self.path("/versions", &[])).await?),
            Command::Rollback { to_version: version, note } => {
                let body = json!({"version": version, "note": note});
                print(&post(self.path("/rollback", &[]), body).await?)
            }
            Command::Explain(question) => {
                print(&post(self.path("/explain", &[]), question.body()).await?)
            }
            Command::Export { file } => export(&get(self.path("", &[])).await?, file.as_deref()),
            Command::Import { file, merge: false, note } => {
                let body = json!({"list": read(file)?, "note": note});
                print(&call(&api, Method::PUT, &self.path("", &[]), Some(body)).await?)
            }
            Command::Import { file, merge: true, note } => {
                let now = get(self.path("", &[])).await?;
                let mut made = Value::Null;
                for body in merged(&now["list"], &read(file)?, note) {
                    made = call(&api, Method::PATCH, &self.path("", &[]), Some(body)).await?;
                }
                print(&made)
            }
        }
    }
}

impl Question {
    fn body(&self) -> Value {
        let mut of_token = Map::new();
        for (name, value) in &self.attributes {
            let values = of_token.entry(name.clone()).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(json!(value));
            }
        }
        json!({
            "principal": self.principal, "operation": self.operation, "topic": self.topic,
            "key": self.key, "consumer_group": self.consumer_group,
            "transactional_id": self.transactional_id, "address": self.address, "tls": self.tls,
            "attributes": of_token, "at": self.at,
        })
    }
}

/// Writes an answer's list as `import` reads it.
fn export(found: &Value, file: Option<&Path>) -> Outcome {
    if found["list"].is_null() {
        return Err("there is no list here".to_owned());
    }
    let exported = json!({
        "format": FORMAT, "version": found["version"], "list": found["list"],
    });
    let text = serde_json::to_string_pretty(&exported).map_err(|error| error.to_string())?;
    match file {
        None => println!("{text}"),
        Some(file) => std::fs::write(file, text + "\n")
            .map_err(|error| format!("{}: {error}", file.display()))?,
    }
    Ok(())
}

/// The changes that bring a file's entries and groups into a list, in requests that fit.
fn merged(now: &Value, file: &Value, note: &str) -> Vec<Value> {
    let empty = Vec::new();
    let held = now["entries"].as_array().unwrap_or(&empty);
    let is_held = |entry: &&Value| held.iter().any(|it| it["id"] == entry["id"]);
    let entries = file["entries"].as_array().unwrap_or(&empty);
    let mut groups = file.get("groups").cloned();
    let mut default = file.get("default").cloned();
    let mut bodies = Vec::new();
    // Also when there are no entries: there may be groups.
    let chunks: Vec<&[Value]> = match entries.is_empty() {
        true => vec![&[]],
        false => entries.chunks(MERGED_MAX).collect(),
    };
    for entries in chunks {
        let (replace, add): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(is_held);
        let mut body = Map::new();
        body.insert("add".to_owned(), json!(add));
        body.insert("replace".to_owned(), json!(replace));
        body.insert("note".to_owned(), json!(note));
        body.extend(groups.take().map(|groups| ("groups".to_owned(), groups)));
        body.extend(default.take().map(|default| ("default".to_owned(), default)));
        bodies.push(Value::Object(body));
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::{Acl, Command, list_of, merged};
    use serde_json::{Value, json};

    #[test]
    fn places_become_queries() {
        let acl = |tenant: Option<&str>, project: Option<&str>| Acl {
            tenant: tenant.map(str::to_owned),
            project: project.map(str::to_owned),
            command: Command::Versions,
        };
        assert_eq!(acl(None, None).path("/versions", &[]), "/v1/acl/versions");
        let path = acl(Some("ten_1"), Some("prj_2")).path("", &[("version", Some("3".into()))]);
        assert_eq!(path, "/v1/acl?tenant=ten_1&project=prj_2&version=3");
        let path = acl(Some("a b"), None).path("/diff", &[("from", None)]);
        assert_eq!(path, "/v1/acl/diff?tenant=a%20b");
    }

    #[test]
    fn files_are_lists_or_exports() {
        assert_eq!(list_of(r#"{"entries": []}"#), Ok(json!({"entries": []})));
        let exported = r#"{"format": "mainstem-acl/1", "version": 3, "list": {"entries": []}}"#;
        assert_eq!(list_of(exported), Ok(json!({"entries": []})));
        assert!(list_of(r#"{"format": "other", "list": {}}"#).unwrap_err().contains("other"));
        assert!(list_of("entries").unwrap_err().starts_with("not JSON"));
    }

    #[test]
    fn merging_replaces_what_is_there_and_adds_the_rest() {
        let now = json!({"entries": [{"id": "a"}, {"id": "b"}]});
        let file = json!({"entries": [{"id": "b", "note": "x"}, {"id": "c"}], "groups": {"g": []}});
        let bodies = merged(&now, &file, "why");
        let wanted = json!({
            "add": [{"id": "c"}], "replace": [{"id": "b", "note": "x"}], "note": "why",
            "groups": {"g": []},
        });
        assert_eq!(bodies, vec![wanted]);
        // Many entries are several requests, and the groups go with the first.
        let many: Vec<Value> = (0..1_001).map(|n| json!({"id": n.to_string()})).collect();
        let bodies = merged(&Value::Null, &json!({"entries": many, "groups": {}}), "");
        assert_eq!(bodies.len(), 3);
        assert!(bodies[0].get("groups").is_some() && bodies[1].get("groups").is_none());
        // A file with groups alone is one request.
        assert_eq!(merged(&now, &json!({"groups": {"g": []}}), "").len(), 1);
    }
}
