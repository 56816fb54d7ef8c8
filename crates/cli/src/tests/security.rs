//! What `mainstem security check` prints, and what it exits with.

use crate::security::{exit_code, findings_text};
use serde_json::{Value, json};
use std::process::ExitCode;

fn found(critical: u64, warning: u64) -> Value {
    json!({
        "open": {"critical": critical, "warning": warning, "info": 4},
        "accepted": 1,
        "is_partial": true,
        "findings": [{
            "id": "key-old:key_1@prj_1", "check": "key-old", "severity": "warning",
            "title": "A key is very old", "subject": "key_1", "found": "`app` is 400 days old",
            "why": "W.", "cure": "C.", "tenant": "ten_1", "project": "prj_1",
            "acceptance": {"id": "acp_1", "actor": "operator", "reason": "until May"},
        }],
    })
}

#[test]
fn the_exit_code_is_that_of_the_worst_that_is_open() {
    for (critical, warning, expected) in
        [(0, 0, ExitCode::SUCCESS), (0, 2, ExitCode::from(2)), (1, 0, ExitCode::from(3))]
    {
        assert_eq!(exit_code(&found(critical, warning)), expected, "{critical} {warning}");
    }
}

#[test]
fn findings_are_told_with_their_cure() {
    let text = findings_text(&found(0, 1));
    let expected = "warning: A key is very old (key-old)\n  key_1: `app` is 400 days old\n  \
        tenant ten_1, project prj_1\n  why: W.\n  cure: C.\n  finding: key-old:key_1@prj_1\n  \
        accepted by operator: until May (acp_1)\n\nopen: 0 critical, 1 warnings, 4 hints; \
        accepted: 1\nSome records were not looked at: there are too many.\n";
    assert_eq!(text, expected);
}
