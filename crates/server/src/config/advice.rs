//! What a configuration allows and a careful operator would not: told when one is checked, never
//! refused. What is so by default too is no news, and is left to the security checks.

use super::{Config, ConfigError};
use crate::setup::stated;
use posture::{Finding, Severity};

/// One sentence per key; none for what is as safe as by default.
pub fn advice(config: &Config) -> Vec<ConfigError> {
    let usual = posture::of_configuration(&stated(&Config::default()));
    let is_news = |finding: &Finding| {
        finding.severity >= Severity::Warning && usual.iter().all(|it| it.id() != finding.id())
    };
    let found = posture::of_configuration(&stated(config)).into_iter().filter(is_news);
    // When a certificate ends is not said by a configuration.
    let found = found.filter(|finding| finding.check.id != "certificate-ends");
    let said = |it: Finding| format!("{}: {}. {}", it.check.title, it.found, it.check.cure);
    found.map(|finding| ConfigError::about(finding.subject.clone(), said(finding))).collect()
}
