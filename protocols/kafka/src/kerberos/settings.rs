//! Settings of tickets on one listener. The comments on the fields are the manual.

use super::rules::Rules;
use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::ProjectId;

/// Bytes of a part of the service's name at most.
const PART_BYTES_MAX: usize = 255;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kerberos {
    /// The first part of the service's principal, `kafka` in
    /// `kafka/broker.example.com@EXAMPLE.COM`: what clients have as `sasl.kerberos.service.name`.
    /// Its key is in the keytab that the environment variable `KRB5_KTNAME` names, else in the one
    /// of this machine's Kerberos (`/etc/krb5.keytab`).
    #[serde(default = "service_name")]
    pub service_name: String,
    /// The second part, `broker.example.com`. Absent: whichever hosts the keytab has.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The projects (`prj_...`) whose keys tickets may stand for here; never those of others.
    #[schemars(with = "Vec<String>")]
    pub projects: Vec<ProjectId>,
    /// Rules that make the id of a key of a client's principal, in the grammar of Kafka's
    /// `sasl.kerberos.principal.to.local.rules`: `RULE:[n:text](regexp)s/pattern/replacement/g`,
    /// with `/L` or `/U` behind it for small or capital letters, or `DEFAULT`. The first that fits
    /// decides; whom none fits is not let in. Absent: `DEFAULT`, the first part of a principal of
    /// this machine's realm.
    #[serde(default = "principals")]
    pub principals: Vec<String>,
}

fn service_name() -> String {
    "kafka".to_owned()
}

fn principals() -> Vec<String> {
    vec!["DEFAULT".to_owned()]
}

impl Kerberos {
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), Refusal> {
        let wrong =
            |field: &str, why: &str| Err(Refusal::new(Code::InvalidRequest, why).field(field));
        if !is_part(&self.service_name) {
            return wrong("service_name", "`kerberos.service_name` is a name without `/` and `@`");
        }
        if self.hostname.as_deref().is_some_and(|host| !is_part(host)) {
            return wrong("hostname", "`kerberos.hostname` is a name without `/` and `@`");
        }
        if self.projects.is_empty() {
            return wrong("projects", "`kerberos.projects` names at least one project");
        }
        Rules::parse(&self.principals).map(|_| ())
    }

    /// The service as GSS-API writes it (RFC 2743, section 4.1).
    pub fn service(&self) -> String {
        match &self.hostname {
            Some(hostname) => format!("{}@{hostname}", self.service_name),
            None => self.service_name.clone(),
        }
    }
}

fn is_part(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/@\\".contains(&byte);
    !text.is_empty() && text.len() <= PART_BYTES_MAX && text.bytes().all(is_plain)
}
