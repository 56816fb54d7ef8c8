//! The report as people read it: Markdown with tables. Names, reasons and targets come from users,
//! and from strangers: all of them stand in code spans that nothing in them can end, so that they
//! make no link, no image, no HTML and no further column.

use crate::collect::{Act, ElevatedAct, Line, Refused};
use crate::report::{ChainMark, ChainPart, Findings, Report, Section};
use crate::{Access, KeyAccess, Moment, PersonAccess, RoleAccess};
use serde_json::Value;
use std::fmt::Write;

/// Characters of one cell; the JSON has all of them.
const CELL_CHARS_MAX: usize = 300;
const NOTHING: &str = "–";

/// Turns the direction of what follows, or ends a line where none is expected.
fn is_misleading(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// A code span. What would end it, its cell or its line is shown as a like character.
pub(crate) fn code(text: &str) -> String {
    let mut span = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == CELL_CHARS_MAX {
            span.push('…');
            break;
        }
        span.push(match character {
            '`' => 'ˋ',
            '|' => '¦',
            // Readers that keep escapes in tables could take the span's end for one.
            '\\' => '⧵',
            it if it.is_control() => ' ',
            it if is_misleading(it) => '\u{fffd}',
            it => it,
        });
    }
    span.push('`');
    // An empty span is none, and one of spaces only shows nothing.
    let is_blank = span.trim_matches('`').trim().is_empty();
    if is_blank { NOTHING.to_owned() } else { span }
}

fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| NOTHING.to_owned(), code)
}

fn when(at: Option<Moment>) -> String {
    at.map_or_else(|| NOTHING.to_owned(), |at| at.to_string())
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// `usr_…:ann@example.org` is shown as the address.
fn actor(name: &str) -> String {
    let email = name.strip_prefix("usr_").and_then(|rest| rest.split_once(':'));
    code(email.map_or(name, |(_, email)| email))
}

fn details(of: &Value) -> String {
    match of {
        Value::Object(fields) if fields.is_empty() => NOTHING.to_owned(),
        Value::Null => NOTHING.to_owned(),
        of => code(&of.to_string()),
    }
}

fn place(tenant: Option<&str>, project: Option<&str>) -> String {
    match (tenant, project) {
        (None, _) => "installation".to_owned(),
        (Some(tenant), None) => code(tenant),
        (Some(_), Some(project)) => code(project),
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\n## {text}\n\n");
    }

    fn title(&mut self, text: &str) {
        let _ = write!(self.0, "\n### {text}\n\n");
    }

    /// A table, or a word where there is nothing; and what is not in it.
    fn section<T>(
        &mut self,
        section: &Section<T>,
        columns: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
    ) {
        if section.items.is_empty() {
            self.line("None.");
        } else {
            self.line(&format!("| {} |", columns.join(" | ")));
            self.line(&format!("|{}", "---|".repeat(columns.len())));
            for item in &section.items {
                self.line(&format!("| {} |", cells(item).join(" | ")));
            }
        }
        if let Some(rest) = &section.rest {
            let (shown, total) = (section.items.len(), section.total);
            self.line(&format!("\n**Cut**: {shown} of at least {total} are here. Rest: {rest}."));
        }
    }

    fn acts(&mut self, section: &Section<Act>) {
        let columns = ["Record", "When", "Who", "Act", "On", "Where", "Outcome", "From", "Details"];
        self.section(section, &columns, act);
    }
}

fn act(act: &Act) -> Vec<String> {
    let times = if act.count > 1 { format!(" × {}", act.count) } else { String::new() };
    vec![
        act.sequence.to_string(),
        act.at.to_string(),
        actor(&act.actor),
        code(&act.action),
        code(&act.target),
        place(act.tenant.as_deref(), act.project.as_deref()),
        format!("{}{times}", act.outcome),
        maybe(act.address.as_deref()),
        details(&act.details),
    ]
}

fn elevated(elevated: &ElevatedAct) -> Vec<String> {
    let mut cells = vec![elevated.kind.name().replace('_', " ")];
    cells.extend(act(&elevated.act));
    cells
}

fn role(role: &RoleAccess) -> String {
    let there = place(role.tenant.as_deref(), role.project.as_deref());
    let mut text = format!("{} in {there}", code(&role.role));
    if let Some(conditions) = &role.conditions {
        let _ = write!(text, " when {}", code(&conditions.to_string()));
    }
    text
}

fn person(person: &PersonAccess) -> Vec<String> {
    let roles: Vec<String> = person.roles.iter().map(role).collect();
    vec![
        code(&person.email),
        code(&person.name),
        person.status.name().to_owned(),
        yes(person.second_factor),
        person.signed_in_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        if roles.is_empty() { NOTHING.to_owned() } else { roles.join("; ") },
    ]
}

fn key(key: &KeyAccess) -> Vec<String> {
    let grants = if key.has_grants { ", bounded by grants" } else { "" };
    vec![
        code(&key.name),
        code(&key.prefix),
        code(&key.project),
        format!("{}{grants}", code(&key.scopes.join(" "))),
        key.created_at.to_string(),
        key.ends_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
    ]
}

fn access(page: &mut Page, access: &Access) {
    page.heading("Who has access");
    page.title(&format!("People: {}", access.people.total));
    let columns = ["Address", "Name", "Standing", "Second factor", "Last sign-in", "Roles"];
    page.section(&access.people, &columns, person);
    page.title(&format!("Keys: {}", access.keys.total));
    let columns = ["Name", "Prefix", "Project", "Scopes", "Made", "Ends"];
    page.section(&access.keys, &columns, key);
    page.title(&format!("Keys that check tokens: {}", access.signing_keys.total));
    page.section(&access.signing_keys, &["Name", "Key", "Project", "Made"], |key| {
        let made = key.created_at.to_string();
        vec![code(&key.name), code(&key.id), code(&key.project), made]
    });
    if let Some(operators) = &access.operator_tokens {
        page.title("Operators' tokens");
        let (tokens, acts) = (operators.tokens, operators.acts);
        let last = when(operators.last_act_at);
        page.line(&format!("{tokens} configured; {acts} acts in the period, the last: {last}."));
    }
    page.title(&format!("Sign-in providers: {}", access.identity_providers.total));
    let columns = ["Name", "Issuer", "Where", "On", "Admits the unknown", "Domains", "Rules"];
    page.section(&access.identity_providers, &columns, |provider| {
        vec![
            code(&provider.name),
            code(&provider.issuer),
            place(provider.tenant.as_deref(), None),
            yes(provider.is_enabled),
            yes(provider.admits_unknown),
            code(&provider.domains.join(" ")),
            provider.rules.to_string(),
        ]
    });
}

fn refused(page: &mut Page, refused: &Refused) {
    page.heading("Failed sign-ins and refused acts");
    let totals = &refused.totals;
    page.line(&format!(
        "Sign-ins refused: {}; made to wait: {}; credentials refused: {}; acts refused: {}; acts \
         that failed: {}.",
        totals.sign_ins, totals.throttled, totals.credentials, totals.acts, totals.failed
    ));
    let line = |line: &Line| {
        let name = match &line.email {
            Some(email) => code(email),
            None => actor(&line.name),
        };
        vec![name, line.count.to_string(), line.last_at.to_string()]
    };
    page.title("By address");
    page.section(&refused.by_address, &["Address", "Count", "Last"], line);
    page.title("By account");
    page.section(&refused.by_account, &["Account", "Count", "Last"], line);
    page.title(&format!("One by one: {}", refused.list.total));
    page.acts(&refused.list);
}

fn findings(page: &mut Page, findings: &Findings) {
    page.heading("Security findings");
    page.line(&format!(
        "Open: {} critical, {} warnings, {} hints; accepted: {}.\n",
        findings.critical_open, findings.warning_open, findings.info_open, findings.accepted
    ));
    let columns = ["Severity", "What", "Found", "Where", "State", "Until", "By", "Why"];
    page.section(&findings.list, &columns, |it| {
        vec![
            it.severity.clone(),
            code(&it.title),
            code(&it.found),
            place(it.tenant.as_deref(), it.project.as_deref()),
            it.state.clone(),
            when(it.accepted_until),
            it.accepted_by.as_deref().map_or_else(|| NOTHING.to_owned(), actor),
            maybe(it.accepted_because.as_deref()),
        ]
    });
}

fn mark(mark: Option<&ChainMark>) -> String {
    mark.map_or_else(
        || NOTHING.to_owned(),
        |mark| format!("record {} with the hash {}", mark.sequence, code(&mark.hash)),
    )
}

fn chain(page: &mut Page, chain: &ChainPart) {
    page.heading("The trail's chain of hashes");
    let verdict = match &chain.broken {
        Some(broken) => format!(
            "**Broken** at record {} ({}): {}",
            broken.sequence,
            broken.place,
            code(&broken.why)
        ),
        None if chain.holds => "It **holds**.".to_owned(),
        None => "Nothing was checked: the period has no record on the log.".to_owned(),
    };
    page.line(&format!("- {verdict}"));
    page.line(&format!("- Records of the installation checked: {}", chain.checked));
    page.line(&format!("- They follow {}", mark(chain.from.as_ref())));
    page.line(&format!("- The last of them: {}", mark(chain.to.as_ref())));
    if chain.is_cut {
        page.line("- **Cut**: the period has more; a shorter period, or `mainstem audit verify`");
    }
    if chain.pending > 0 {
        page.line(&format!("- Not on the log yet: {}", chain.pending));
    }
    page.line(&format!(
        "- The newest record when this was made: {}. `mainstem audit verify --sequence N --hash H` \
         tells later whether it is still in the chain.",
        mark(chain.head.as_ref())
    ));
}

/// The report as Markdown (CommonMark with tables).
pub fn markdown(report: &Report) -> String {
    let mut page = Page(String::new());
    let subject = match &report.tenant {
        Some(tenant) => format!("tenant {} ({})", code(&tenant.name), code(&tenant.id)),
        None => "the whole installation".to_owned(),
    };
    page.line("# Compliance report\n");
    page.line(&format!("- Of: {subject}"));
    page.line(&format!("- Period: from {} to before {}", report.period.from, report.period.to));
    page.line(&format!("- Made by {} at {}", actor(&report.made.by), report.made.at));
    page.line(&format!("- Records of the trail read: {}", report.records));
    for note in &report.notes {
        page.line(&format!("- {note}"));
    }
    access(&mut page, &report.access);
    page.heading(&format!("Changes of access: {}", report.access_changes.total));
    page.acts(&report.access_changes);
    page.heading(&format!("Approvals: {}", report.approvals.total));
    page.acts(&report.approvals);
    page.heading(&format!("Elevated acts: {}", report.elevated.total));
    let columns =
        ["Kind", "Record", "When", "Who", "Act", "On", "Where", "Outcome", "From", "Details"];
    page.section(&report.elevated, &columns, elevated);
    refused(&mut page, &report.refused);
    page.heading(&format!("Configuration changes: {}", report.configuration_changes.total));
    page.acts(&report.configuration_changes);
    page.heading("Other acts, counted");
    for other in &report.other_acts {
        page.line(&format!("- {}: {}", code(&other.action), other.count));
    }
    if report.other_acts.is_empty() {
        page.line("None.");
    }
    findings(&mut page, &report.findings);
    chain(&mut page, &report.chain);
    page.0
}
