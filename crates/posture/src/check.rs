//! What a check is, and what it finds. It must not judge: the modules beside do.

use rules::Place;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Could be better.
    Info,
    /// Should be better: one more mistake and somebody is in.
    Warning,
    /// Must be better: somebody can get in, or all can be lost.
    Critical,
}

impl Severity {
    pub const ALL: &'static [Severity] = &[Severity::Info, Severity::Warning, Severity::Critical];

    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    pub fn named(name: &str) -> Option<Severity> {
        Severity::ALL.iter().copied().find(|it| it.name() == name)
    }
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// What the node was configured with, and the files that it names.
    Configuration,
    /// People, keys, access lists, webhooks: the control plane's records.
    Records,
    /// The process and its machine.
    Running,
}

impl Area {
    pub const ALL: &'static [Area] = &[Area::Configuration, Area::Records, Area::Running];

    pub fn name(self) -> &'static str {
        match self {
            Area::Configuration => "configuration",
            Area::Records => "records",
            Area::Running => "running",
        }
    }

    pub fn named(name: &str) -> Option<Area> {
        Area::ALL.iter().copied().find(|it| it.name() == name)
    }
}

/// One thing that can be looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Names it for ever: 1 to 40 of `a-z` and `-`.
    pub id: &'static str,
    pub area: Area,
    /// As bad as it usually is; a finding may be worse or less.
    pub severity: Severity,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How to put it right.
    pub cure: &'static str,
}

impl Check {
    /// Where the documentation has it.
    pub fn docs(&self) -> String {
        format!("docs/reference/security-checks.md#{}", self.id)
    }

    /// Something of the installation as a whole that is not as it should be. `subject` tells it
    /// from other findings of this check, and stays the same from one look to the next.
    pub(crate) fn found(
        &'static self,
        subject: impl fmt::Display,
        found: impl Into<String>,
    ) -> Finding {
        self.found_at(Place::Installation, subject, found)
    }

    /// As `found`, of what belongs there.
    pub(crate) fn found_at(
        &'static self,
        place: Place,
        subject: impl fmt::Display,
        found: impl Into<String>,
    ) -> Finding {
        Finding {
            check: self,
            severity: self.severity,
            place,
            subject: subject.to_string(),
            found: found.into(),
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static Check,
    pub severity: Severity,
    /// Whose it is: who may look there sees it.
    pub place: Place,
    /// The key of the configuration, or the identifier of the record, that it is about.
    pub subject: String,
    /// What was found, in one sentence.
    pub found: String,
}

impl Finding {
    /// Names the finding: the same as long as it is there.
    pub fn id(&self) -> String {
        let Finding { check, subject, .. } = self;
        match self.place {
            Place::Installation => format!("{}:{subject}", check.id),
            Place::Tenant(tenant) => format!("{}:{subject}@{tenant}", check.id),
            Place::Project(_, project) => format!("{}:{subject}@{project}", check.id),
        }
    }

    pub(crate) fn with_severity(self, severity: Severity) -> Finding {
        Finding { severity, ..self }
    }
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub critical: u64,
    pub warning: u64,
    pub info: u64,
}

impl Counts {
    pub fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::Warning => self.warning += 1,
            Severity::Info => self.info += 1,
        }
    }

    pub fn of(self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::Warning => self.warning,
            Severity::Info => self.info,
        }
    }
}
