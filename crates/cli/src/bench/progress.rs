//! How far a load is, for who waits at a terminal. It goes to standard error, and only when that is
//! a terminal, so that reports can be piped.

use indicatif::{ProgressBar, ProgressStyle};

/// Who reads what a load reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Person,
    Machine,
}

impl Audience {
    /// By the flag `--json`.
    pub fn of(json: bool) -> Audience {
        if json { Audience::Machine } else { Audience::Person }
    }
}

/// A bar that fills; `what` is counted. Hidden from machines and without a terminal.
pub fn bar(audience: Audience, total: u64, what: &'static str) -> ProgressBar {
    let template = "{wide_bar} {human_pos}/{human_len} {msg}, {elapsed}";
    styled(audience, ProgressBar::new(total), template, what)
}

fn styled(audience: Audience, bar: ProgressBar, template: &str, what: &'static str) -> ProgressBar {
    if audience == Audience::Machine || bar.is_hidden() {
        return ProgressBar::hidden();
    }
    // The templates are fixed and correct; without one the default style serves as well.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style).with_message(what),
        Err(_) => bar,
    }
}
