//! The text: it has what the value has, and nothing from outside breaks out of its cell.

use super::rig::{facts, person, record, refused};
use crate::markdown::code;
use crate::{ChainBreak, ChainPart, Collector, Moment, Section, Subject, assemble, markdown};
use tenancy::AuditRecord;

const HOSTILE: &[&str] = &[
    "a | b",
    "`a` <script>alert(1)</script>",
    "``` fence",
    "[x](https://evil.example)",
    "![x](https://evil.example/p.png)",
    "line\nbreak\r\n# heading",
    "\\| \\` \\\\",
    "\u{202e}gro.elpmaxe@nna",
    "zero\u{200b}width\u{2028}line",
    "\u{0}\u{7}\u{1b}[31m",
    "   ",
    "",
];

#[test]
fn nothing_ends_a_span_its_cell_or_its_line() {
    for text in HOSTILE {
        let span = code(text);
        if span == "–" {
            assert!(text.trim().is_empty(), "{text:?}");
            continue;
        }
        let inner = span.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        let inner = inner.expect("a span");
        assert!(!inner.contains(['`', '|', '\\']), "{span:?}");
        assert!(!inner.contains(|it: char| it.is_control()), "{span:?}");
        assert!(!inner.contains(['\u{202e}', '\u{200b}', '\u{2028}']), "{span:?}");
    }
    assert_eq!(code("ann@example.org"), "`ann@example.org`");
    assert_eq!(code(&"x".repeat(400)).chars().count(), 303);
}

/// Every row of a table has as many cells as its head.
fn check_tables(text: &str) {
    let cells = |line: &str| line.matches('|').count();
    let mut columns = None;
    for line in text.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let expected = *columns.get_or_insert_with(|| cells(line));
        assert_eq!(cells(line), expected, "{line}");
    }
}

#[test]
fn names_from_outside_stay_in_their_cells() {
    for text in HOSTILE {
        let mut facts = facts(vec![person(1, text, Some(serde_json::json!({"note": text})))]);
        facts.tenant = None;
        let mut records = Collector::new(60_000);
        let acts = [record(1, text, "role.grant"), refused(2, text, "admin.request")];
        for act in acts {
            let details = serde_json::json!({"reason": text});
            let target = (*text).to_owned();
            records.push(&AuditRecord { target, details, address: Some(text.to_string()), ..act });
        }
        let page = markdown(&assemble(facts, records));
        check_tables(&page);
        assert!(page.starts_with("# Compliance report\n"));
        assert!(!page.lines().any(|line| line == "# heading"), "{page}");
        // All that could be HTML or a link stands in a span.
        for line in page.lines() {
            let outside: String = line.split('`').step_by(2).collect();
            assert!(!outside.contains(['<', '[', '!']), "{line}");
        }
    }
}

#[test]
fn the_text_says_what_the_value_says() {
    let mut facts = facts(vec![person(1, "ann@example.org", None)]);
    facts.chain.pending = 4;
    facts.chain.kept_since = Some(Moment(facts.period.to.0));
    let mut records = Collector::new(60_000);
    records.push(&record(1, "usr_1:ann@example.org", "role.grant"));
    let mut report = assemble(facts, records);
    let page = markdown(&report);
    for expected in [
        "- Of: the whole installation",
        "- Period: from 2026-10-01T00:00:00.000Z to before 2026-11-01T00:00:00.000Z",
        "- Made by `eve@example.org` at 2026-11-01T00:00:00.000Z",
        "## Changes of access: 1",
        "| 1 | 2026-10-01T00:00:01.000Z | `ann@example.org` | `role.grant` | `it` | installation |",
        "`auditor` in `ten_00000000000000000000000000000007`",
        "It **holds**.",
        "record 9 with the hash `00000000",
        "2 configured; 0 acts in the period, the last: –.",
        "4 of the newest records were not on the log yet",
        "Records from before 2026-11-01T00:00:00.000Z are not kept any more.",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    assert!(!page.contains("**Cut**"));
    // A tenant's, cut, with a chain that does not hold.
    report.tenant = Some(Subject { id: "ten_7".to_owned(), name: "acme | co".to_owned() });
    report.access.people =
        Section { is_cut: true, rest: Some("there".to_owned()), ..report.access.people };
    let why = "record 5 is missing: 6 follows".to_owned();
    let broken = Some(ChainBreak { sequence: 5, place: "log".to_owned(), why });
    report.chain = ChainPart { holds: false, broken, is_cut: true, ..report.chain };
    let page = markdown(&report);
    for expected in [
        "- Of: tenant `acme ¦ co` (`ten_7`)",
        "**Cut**: 1 of at least 1 are here. Rest: there.",
        "**Broken** at record 5 (log): `record 5 is missing: 6 follows`",
        "- **Cut**: the period has more",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    report.chain = ChainPart::default();
    assert!(markdown(&report).contains("Nothing was checked"));
}
