//! Access lists, copied line by line, and users, of whom no broker tells the password.

use super::Pair;
use super::report::Report;
use kafka_client::Error;

/// `SECURITY_DISABLED`: a cluster without access lists.
const NO_LISTS: i16 = 54;

pub async fn copy(pair: &Pair, report: &mut Report) {
    let rules = match pair.source.access_rules().await {
        Ok(rules) => rules,
        Err(error) if error.code() == Some(NO_LISTS) => Vec::new(),
        Err(error) => {
            report.notices.push(format!("the source's access rules are not known: {error}"));
            Vec::new()
        }
    };
    // Where they cannot be asked for, adding them tells why.
    let there = pair.target.access_rules().await.unwrap_or_default();
    let (there, rules): (Vec<_>, Vec<_>) = rules.into_iter().partition(|it| there.contains(it));
    report.access_rules += there.len();
    if !rules.is_empty() {
        match pair.target.add_access_rules(&rules).await {
            Ok(told) => {
                for (rule, told) in rules.iter().zip(told) {
                    match told {
                        Ok(()) => report.access_rules += 1,
                        Err(error) => report.notices.push(format!(
                            "the access rule of {} on {} is not taken: {error}",
                            rule.principal, rule.resource_name
                        )),
                    }
                }
            }
            Err(error) => {
                let count = rules.len();
                report.notices.push(format!("{count} access rules are not copied: {error}"));
            }
        }
    }
    users(pair, report).await;
}

async fn users(pair: &Pair, report: &mut Report) {
    match pair.source.users().await {
        Ok(users) => {
            for user in users {
                let how: Vec<&str> = user.mechanisms.iter().map(|(name, _)| &**name).collect();
                report.notices.push(format!(
                    "user {} ({}) is not copied, since no broker tells passwords: give them a key",
                    user.name,
                    how.join(", ")
                ));
            }
        }
        Err(Error::Unsupported(_)) => {}
        Err(error) => {
            report.notices.push(format!("the source's users are not known: {error}"));
        }
    }
}
