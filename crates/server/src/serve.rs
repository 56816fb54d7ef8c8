//! Running the server: telemetry first, then the runtime, then the app, until a signal or a
//! failure; and the reload of what may change while it runs.

use crate::app::{App, StartError, World};
use crate::config::{self, Config, Source};
use crate::dev::Dev;
use crate::operator_file;
use crate::running::Running;
use crate::telemetry;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Sender;

/// Between a change of the configuration's file and reading it.
const QUIET: Duration = Duration::from_millis(200);

/// `mainstem dev`.
pub fn dev(dev: &Dev) -> Result<(), String> {
    let config = dev.config();
    let instruments = telemetry::install(&config.telemetry)?;
    check_open_files(&config);
    let token = dev.admin_token(&*World::system().rng);
    let outcome = runtime()?.block_on(async {
        let building = App::build(config, std::slice::from_ref(&token), &instruments);
        let app = Box::pin(building).await?;
        dev.prepare(&app, &token).await.map_err(StartError::Other)?;
        app.serve(stopped()).await
    });
    instruments.finish();
    outcome.map_err(|error| error.to_string())
}

/// `mainstem serve`.
pub fn serve(file: Option<PathBuf>, processes: Option<u16>) -> Result<(), String> {
    let mut source = Source::with_environment(file);
    if let Some(processes) = processes {
        // Over the file and the environment, at each reload too.
        source.environment.push(("MAINSTEM__PROCESSES".to_owned(), processes.to_string()));
    }
    let loaded = config::load_whole(&source).map_err(|error| match &source.file {
        Some(file) => format!("{}: {error}", file.display()),
        None => error.to_string(),
    })?;
    let instruments = telemetry::install(&loaded.config.telemetry)?;
    check_open_files(&loaded.config);
    let operators = operators(&loaded.config)?;
    let outcome = runtime()?.block_on(async {
        let app = Box::pin(App::build(loaded, &operators, &instruments)).await?;
        let reloading = reload(&source, app.running());
        tokio::select! {
            outcome = app.serve(stopped()) => outcome,
            () = reloading => Ok(()),
        }
    });
    instruments.finish();
    outcome.map_err(|error| error.to_string())
}

/// Tenants' connections have threads of their own; what is left needs few.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// Takes as many descriptors as the system allows, and says so when that is fewer than the
/// connections that would be let in.
pub fn check_open_files(config: &Config) {
    let wanted = u64::from(config.edge.accept.connections_max);
    if let Some(limit) = stdx::open_files::raise_limit()
        && limit < wanted
    {
        tracing::info!(
            limit,
            connections_max = wanted,
            "the system allows fewer open files than edge.accept.connections_max; see ulimit -n"
        );
    }
}

/// The tokens that open the admin API. Where none is configured, the first start makes one and
/// says where it is: without any, nobody could set the installation up.
fn operators(config: &Config) -> Result<Vec<SecretString>, String> {
    let from_file = |path: &Path| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("admin.token_file {}: {error}", path.display()))?;
        Ok::<SecretString, String>(text.trim().to_owned().into())
    };
    let file = config.admin.token_file.as_deref().map(from_file).transpose()?;
    let known: Vec<SecretString> = config.admin.token.clone().into_iter().chain(file).collect();
    if !known.is_empty() || config.edge.admin_listen.is_none() {
        return Ok(known);
    }
    let path = config.data_dir.join("operator.token");
    let made = operator_file::load_or_create(&path, &*World::system().rng);
    Ok(vec![made.map_err(|error| format!("{}: {error}", path.display()))?])
}

/// SIGINT or SIGTERM; a second one ends the process at once.
async fn stopped() {
    let both = signal(SignalKind::interrupt()).and_then(|interrupt| {
        let terminate = signal(SignalKind::terminate())?;
        Ok((interrupt, terminate))
    });
    let Ok((mut interrupt, mut terminate)) = both else {
        tracing::error!("signals cannot be heard; the server runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
}

/// On SIGHUP, and when the file changes, the configuration is read again. What can change at run
/// time does; what cannot is named and waits for a restart; a bad file changes nothing. Never ends
/// by itself.
async fn reload(source: &Source, running: Arc<Running>) {
    let (changed, mut changes) = tokio::sync::mpsc::channel(1);
    // Held, because it stops watching when dropped.
    let _watcher = source.file.as_deref().map(|file| watch(file, changed));
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            Some(()) = changes.recv() => {
                // An editor writes in several steps: read when it has gone quiet.
                tokio::time::sleep(QUIET).await;
                while changes.try_recv().is_ok() {}
            }
        }
        match config::load_whole(source).map_err(|error| error.to_string()) {
            Ok(loaded) => {
                if let Err(refusal) = running.reload(loaded) {
                    tracing::error!(%refusal, "configuration left as it was");
                }
            }
            Err(error) => tracing::error!(error, "configuration left as it was"),
        }
    }
}

/// Watches the folder, since editors and orchestrators replace the file rather than write it.
fn watch(file: &Path, changed: Sender<()>) -> Option<RecommendedWatcher> {
    let name = file.file_name()?.to_owned();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    let heard = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else {
            return;
        };
        let is_change = !event.kind.is_access();
        if is_change && event.paths.iter().any(|path| path.file_name() == Some(&name)) {
            // A full channel holds the news already.
            let _ = changed.try_send(());
        }
    };
    let watching = notify::recommended_watcher(heard).and_then(|mut watcher| {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| tracing::warn!(%error, "the configuration file is not watched"))
        .ok()
}
