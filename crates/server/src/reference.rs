//! Reference pages, printed from what the program itself knows.

use crate::protocols;
use clap::{CommandFactory, Subcommand};
use port::{Code, metric};
use std::fmt::Write;

#[derive(Subcommand)]
pub enum Reference {
    /// Every option with its default and meaning.
    Config,
    /// Every error code with its kind and meaning.
    Errors,
    /// Every metric.
    Metrics,
    /// Every command.
    Commands,
    /// Every permission, the roles that have it, and what each request of the admin API needs.
    Permissions,
    /// Every security check: why it matters, how to cure what it finds.
    SecurityChecks,
    /// The OpenAPI document of the public API.
    Openapi,
}

impl Reference {
    pub fn print(&self) -> Result<(), String> {
        let text = match self {
            Reference::Config => crate::config::reference(),
            Reference::Errors => errors(),
            Reference::Metrics => metrics_page(),
            Reference::Commands => commands(),
            Reference::Permissions => control::permissions_reference(),
            Reference::SecurityChecks => posture::reference(),
            Reference::Openapi => openapi()?,
        };
        print!("{text}");
        Ok(())
    }
}

fn errors() -> String {
    let mut page = String::from(
        "# Errors\n\nEvery refusal has this shape, on every protocol that can carry it:\n\n\
         ```json\n{\"error\":{\"code\":\"INVALID_TOPIC\",\"message\":\"...\",\
         \"details\":{\"field\":\"topic\"},\"request_id\":\"...\"}}\n```\n\n\
         | Code | Kind | Status | Meaning |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let status = wire_http::status_of(code.kind());
        let meaning = code.meaning().trim();
        let _ = writeln!(
            page,
            "| `{}` | {:?} | {} | {meaning} |",
            code.name(),
            code.kind(),
            status.as_u16()
        );
    }
    page
}

fn metrics_page() -> String {
    let mut page = String::from(
        "# Metrics\n\nServed at `/metrics` in Prometheus' text format. Times are seconds, sizes \
         bytes. At most 200 tenants have a label of their own; the others are counted together \
         as `others`.\n\n| Name | Kind | Meaning |\n|---|---|---|\n",
    );
    for metric in metric::ALL {
        let _ = writeln!(page, "| `{}` | {:?} | {} |", metric.name, metric.kind, metric.meaning);
    }
    page
}

fn commands() -> String {
    let mut page = String::from("# Commands\n");
    let mut root = crate::commands::Arguments::command();
    root.build();
    describe(&root, "mainstem", &mut page);
    page
}

fn describe(command: &clap::Command, name: &str, page: &mut String) {
    let help = command.clone().term_width(100).render_help();
    let help = help.to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = writeln!(page, "\n## {name}\n\n```text\n{}\n```", lines.join("\n"));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        describe(inner, &format!("{name} {}", inner.get_name()), page);
    }
}

fn openapi() -> Result<String, String> {
    let mounts = protocols::mount_all(&protocols::defaults()).map_err(|error| error.to_string())?;
    let document = edge::openapi::merge(&mounts.openapi).map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}
