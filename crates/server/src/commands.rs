//! The command line.

use crate::archive;
use crate::config::{self, Config, Source};
use crate::dev::Dev;
use crate::key_files;
use crate::reference::Reference;
use crate::{serve, setup, worker};
use clap::{Parser, Subcommand};
use cli::target::Target;
use posture::Finding;
use std::path::PathBuf;
use std::process::ExitCode;
use stdx::SystemClock;

#[derive(Parser)]
#[command(name = "mainstem", version, about = "One binary for live software")]
#[command(propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything on embedded defaults, with a demo tenant and key.
    Dev(Dev),
    /// Runs the server as configured.
    Serve {
        /// YAML, JSON or TOML; `MAINSTEM__SECTION__KEY` in the environment overrides it.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Processes that serve clients, instead of `processes` in the configuration.
        #[arg(long)]
        processes: Option<u16>,
    },
    /// Serves clients for the process that started it.
    #[command(hide = true)]
    Worker,
    /// The configuration: of a file, and of a running server.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Publishes records.
    Publish(cli::publish::Publish),
    /// Prints records as they come, from any point in history.
    Follow(cli::follow::Follow),
    /// Generates load and measures.
    #[command(subcommand)]
    Bench(cli::bench::Bench),
    /// Versions of a topic's schema: list, show, register, check.
    #[command(subcommand)]
    Schemas(cli::schemas::Schemas),
    /// Webhooks of a project: define, test, look at, replay; and check a signature.
    #[command(subcommand)]
    Webhooks(cli::webhooks::Webhooks),
    #[command(flatten)]
    Admin(cli::admin::Admin),
    #[command(flatten)]
    Own(cli::login::Own),
    /// Providers that people sign in with (OpenID Connect).
    #[command(subcommand)]
    Oidc(cli::providers::Oidc),
    /// Access lists: who may do what where; versions, and why something is refused.
    Acl(cli::acl::Acl),
    /// Plans: those that are always there, and one's own.
    #[command(subcommand)]
    Plans(cli::plans::Plans),
    /// What tenants were promised, used and owe; budgets.
    #[command(subcommand)]
    Accounts(cli::plans::Accounts),
    /// Tenants at Stripe: subscriptions, invoices, what was reported.
    #[command(subcommand)]
    Billing(cli::plans::Billing),
    /// What tenants consumed; compared with the log on request.
    #[command(subcommand)]
    Usage(cli::usage::Usage),
    /// The audit trail: search, follow, check its chain, export, report.
    #[command(subcommand)]
    Audit(cli::audit::Audit),
    /// Acts that wait for a second person: list, show, approve, refuse, withdraw; which acts do.
    #[command(subcommand)]
    Approvals(cli::approvals::Approvals),
    /// Alerts: what fires, the rules, who is told, what is silent.
    #[command(subcommand)]
    Alerts(cli::alerts::Alerts),
    /// How well the installation is set up: what the security checks find.
    #[command(subcommand)]
    Security(cli::security::Security),
    /// Backups: makes, lists, verifies and restores them.
    #[command(subcommand)]
    Backup(archive::Backup),
    /// Looks at, checks and mends a log that no server has open.
    #[command(subcommand)]
    Log(archive::LogCommand),
    /// Durable consumers of a topic.
    #[command(subcommand)]
    Consumers(cli::consumers::Consumers),
    /// Records that a durable consumer gave up.
    #[command(subcommand)]
    DeadLetters(cli::consumers::DeadLetters),
    /// Moving from Kafka: copies another cluster, and compares.
    #[command(subcommand)]
    Kafka(cli::kafka::Kafka),
    /// Lines of a running server's log; what it logs.
    Logs(cli::logs::Logs),
    /// Writes all that helps to find out what is wrong, without secrets, into one file.
    Diagnostics(cli::logs::Diagnostics),
    /// Keys of encryption at rest: status, rotation, shredding, export and import.
    KeysAtRest(key_files::KeysAtRest),
    /// Prints reference pages.
    #[command(subcommand)]
    Reference(Reference),
    /// Prints the version.
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads a configuration as `serve` would, and says what is wrong with it, and what of it
    /// the security checks find.
    Check {
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Prints the configuration in force, secrets left out.
    Print {
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Lists every option with its default and meaning.
    Reference,
    #[command(flatten)]
    Running(cli::configuration::Configuration),
}

impl Arguments {
    pub fn read() -> Arguments {
        Arguments::parse()
    }
}

/// Runs a command to its end; the error is one line for people.
pub fn run(arguments: Arguments) -> Result<ExitCode, String> {
    // One provider for every TLS user of the process, before the first of them.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let target = arguments.target;
    let done = match arguments.command {
        Command::Dev(dev) => serve::dev(&dev),
        Command::Serve { config, processes } => serve::serve(config, processes),
        Command::Worker => worker::run(),
        Command::Config(ConfigCommand::Running(command)) => client(command.run(&target)),
        Command::Config(command) => configure(command),
        Command::Logs(logs) => client(logs.run(&target)),
        Command::Diagnostics(diagnostics) => client(diagnostics.run(&target)),
        Command::Publish(publish) => client(publish.run(&target)),
        Command::Follow(follow) => client(follow.run(&target)),
        Command::Bench(bench) => client(bench.run(&target)),
        Command::Schemas(schemas) => client(schemas.run(&target)),
        Command::Webhooks(webhooks) => client(webhooks.run(&target)),
        Command::Admin(admin) => client(admin.run(&target)),
        Command::Own(own) => client(own.run(&target)),
        Command::Usage(usage) => client(usage.run(&target)),
        Command::Oidc(oidc) => client(oidc.run(&target)),
        Command::Acl(acl) => client(acl.run(&target)),
        Command::Plans(plans) => client(plans.run(&target)),
        Command::Accounts(accounts) => client(accounts.run(&target)),
        Command::Billing(billing) => client(billing.run(&target)),
        Command::Audit(audit) => client(audit.run(&target)),
        Command::Approvals(approvals) => client(approvals.run(&target)),
        Command::Alerts(alerts) => client(alerts.run(&target)),
        // What is found is what it exits with.
        Command::Security(security) => return runtime()?.block_on(security.run(&target)),
        Command::Backup(backup) => backup.run(&target),
        Command::Log(log) => log.run(),
        Command::Kafka(command) => return runtime()?.block_on(command.run(&target)),
        Command::Consumers(command) => client(command.run(&target)),
        Command::DeadLetters(command) => client(command.run(&target)),
        Command::KeysAtRest(command) => command.run(&target),
        Command::Reference(reference) => reference.print(),
        Command::Version => {
            println!("mainstem {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

pub(crate) fn client(command: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    runtime()?.block_on(command)
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// What is allowed and yet unwise, the worst first.
fn told(mut findings: Vec<Finding>) -> String {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let lines = findings.iter().map(|finding| {
        let (severity, check) = (finding.severity.name(), finding.check);
        let Finding { subject, found, .. } = finding;
        format!(
            "\n{severity}: {title} ({id})\n  {subject}: {found}\n  cure: {cure}\n",
            title = check.title,
            id = check.id,
            cure = check.cure
        )
    });
    lines.collect()
}

fn configure(command: ConfigCommand) -> Result<(), String> {
    let read = |file| config::load(&Source::with_environment(file));
    match command {
        ConfigCommand::Check { config } => {
            let source = Source::with_environment(config);
            let loaded = config::load_whole(&source).map_err(|error| error.to_string())?;
            println!("the configuration is good");
            let now = SystemClock::shared().now_ms();
            let findings = posture::of_configuration(&setup::facts(&loaded, now));
            print!("{}", told(findings));
            Ok(())
        }
        ConfigCommand::Print { config } => {
            let config: Config = read(config).map_err(|error| error.to_string())?;
            let text = serde_saphyr::to_string(&config).map_err(|error| error.to_string())?;
            print!("{text}");
            Ok(())
        }
        ConfigCommand::Reference => Reference::Config.print(),
        ConfigCommand::Running(_) => Err("this asks a running server".to_owned()),
    }
}
