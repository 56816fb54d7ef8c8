//! Access lists, and users that sign in by SCRAM: of these only that they are there, since no
//! broker tells a password.

use super::Admin;
use crate::cluster::retrying;
use crate::{Error, Result};
use wire_kafka::messages::create_acls::{AclCreation, CreateAclsRequest};
use wire_kafka::messages::describe_acls::DescribeAclsRequest;
use wire_kafka::messages::describe_user_scram_credentials::DescribeUserScramCredentialsRequest;

/// What a filter says where everything is meant (`ANY` of each kind in Kafka's clients).
const ANY: i8 = 1;

/// One line of an access list; the numbers are Kafka's (`ResourceType`, `PatternType`,
/// `AclOperation`, `AclPermissionType`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessRule {
    pub resource_type: i8,
    pub resource_name: String,
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// `SCRAM-SHA-256`, `SCRAM-SHA-512`, and how many rounds.
    pub mechanisms: Vec<(String, i32)>,
}

impl Admin {
    /// All lines of the access lists.
    ///
    /// # Errors
    /// `SECURITY_DISABLED` (54) where there are none, or we may not ask.
    pub async fn access_rules(&self) -> Result<Vec<AccessRule>> {
        let request = DescribeAclsRequest {
            resource_type_filter: ANY,
            pattern_type_filter: ANY,
            operation: ANY,
            permission_type: ANY,
            ..DescribeAclsRequest::default()
        };
        let told = retrying!(&self.cluster, {
            let told = self.cluster.any().await?.ask(&request).await?;
            Error::of(told.error_code, told.error_message.clone()).map(|()| told)
        })?;
        let rules = told.resources.into_iter().flat_map(|resource| {
            let (kind, pattern) = (resource.resource_type, resource.pattern_type);
            let name = resource.resource_name;
            resource.acls.into_iter().map(move |it| AccessRule {
                resource_type: kind,
                resource_name: name.clone(),
                pattern_type: pattern,
                principal: it.principal,
                host: it.host,
                operation: it.operation,
                permission_type: it.permission_type,
            })
        });
        let mut rules: Vec<AccessRule> = rules.collect();
        rules.sort();
        Ok(rules)
    }

    /// Adds lines to the access lists; answers for each whether it was taken, in their order.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn add_access_rules(&self, rules: &[AccessRule]) -> Result<Vec<Result<()>>> {
        let creations = rules.iter().map(|rule| AclCreation {
            resource_type: rule.resource_type,
            resource_name: rule.resource_name.clone(),
            resource_pattern_type: rule.pattern_type,
            principal: rule.principal.clone(),
            host: rule.host.clone(),
            operation: rule.operation,
            permission_type: rule.permission_type,
        });
        let request = CreateAclsRequest { creations: creations.collect() };
        let told = retrying!(&self.cluster, self.cluster.controller().await?.ask(&request).await)?;
        Ok(told.results.into_iter().map(|it| Error::of(it.error_code, it.error_message)).collect())
    }

    /// Users with credentials for SCRAM; nobody tells their passwords.
    ///
    /// # Errors
    /// When the broker does not answer, or we may not ask.
    pub async fn users(&self) -> Result<Vec<User>> {
        let request = DescribeUserScramCredentialsRequest { users: None };
        let told = retrying!(&self.cluster, {
            let told = self.cluster.any().await?.ask(&request).await?;
            Error::of(told.error_code, told.error_message.clone()).map(|()| told)
        })?;
        let users = told.results.into_iter().map(|user| User {
            name: user.user,
            mechanisms: user
                .credential_infos
                .into_iter()
                .map(|info| (mechanism(info.mechanism), info.iterations))
                .collect(),
        });
        Ok(users.collect())
    }
}

fn mechanism(number: i8) -> String {
    match number {
        1 => "SCRAM-SHA-256".to_owned(),
        2 => "SCRAM-SHA-512".to_owned(),
        other => format!("mechanism {other}"),
    }
}
