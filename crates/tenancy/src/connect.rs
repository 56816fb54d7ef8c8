//! Opening the database: where it is, how long to try, one writer for SQLite, migrations before
//! anything else.

use crate::ids::IdMint;
use crate::migration::Migrator;
use crate::{Result, TenancyError};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};

#[derive(Clone)]
pub struct Options {
    /// `sqlite:///path/to/file.db` or `postgres://user:password@host/database`.
    pub url: String,
    /// Connections for reading on SQLite, for everything on PostgreSQL.
    pub connections_max: u32,
    /// How long one query waits for a free connection.
    pub acquire_timeout: Duration,
    /// How long SQLite waits for a lock that another process holds.
    pub busy_timeout: Duration,
    /// Attempts to connect at start, the first included.
    pub attempts_max: u32,
    /// Waits between those attempts.
    pub backoff: Backoff,
}

impl Options {
    /// The usual numbers for a database at `url`.
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            attempts_max: 10,
            backoff: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) },
        }
    }

    /// SQLite in a file, created when absent.
    pub fn sqlite(path: &std::path::Path) -> Options {
        Options::new(format!("sqlite://{}", path.display()))
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
}

/// The store. Cheap to share behind an `Arc`; safe to use from many tasks.
pub struct Tenancy {
    reader: DatabaseConnection,
    /// On SQLite one connection: writers wait for each other here instead of failing as busy.
    writer: DatabaseConnection,
    pub(crate) ids: IdMint,
    /// Counted up with each change that was committed here.
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
    pub(crate) incidents: crate::Incidents,
}

impl std::fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenancy").finish_non_exhaustive()
    }
}

fn connect_options(options: &Options, connections_max: u32) -> ConnectOptions {
    let mut wanted = ConnectOptions::new(&options.url);
    let busy_timeout = options.busy_timeout;
    wanted
        .max_connections(connections_max)
        .acquire_timeout(options.acquire_timeout)
        .connect_timeout(options.acquire_timeout)
        // Statements may hold what a tenant wrote: they do not belong in our log.
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // An acknowledged change survives power loss, as in the log.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(busy_timeout)
                .foreign_keys(true)
        });
    wanted
}

pub(crate) async fn open(options: &Options) -> Result<(DatabaseConnection, DatabaseConnection)> {
    if !options.is_sqlite() {
        let pool = Database::connect(connect_options(options, options.connections_max)).await?;
        return Ok((pool.clone(), pool));
    }
    // The writer first: it creates the file and sets the journal mode.
    let writer = Database::connect(connect_options(options, 1)).await?;
    let reader = Database::connect(connect_options(options, options.connections_max)).await?;
    Ok((reader, writer))
}

impl Tenancy {
    /// Connects, trying again with growing waits while the database does not answer, and brings
    /// the schema up to date. A database of a newer version is refused.
    pub async fn connect(
        options: &Options,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Tenancy> {
        let mut attempt = 0;
        let (reader, writer) = loop {
            match open(options).await {
                Ok(opened) => break opened,
                Err(error) if error.is_retryable() && attempt + 1 < options.attempts_max => {
                    let wait = options.backoff.wait(attempt, rng.as_ref());
                    tracing::warn!(%error, attempt, ?wait, "no metadata database yet");
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        };
        Migrator::up(&writer, None).await?;
        let changes = tokio::sync::watch::Sender::new(0);
        Ok(Tenancy {
            reader,
            writer,
            ids: IdMint::new(clock, rng),
            changes,
            incidents: Default::default(),
        })
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction> {
        Ok(self.writer.begin().await?)
    }

    /// Whether the database answers, for readiness.
    pub async fn ping(&self) -> Result<()> {
        self.reader.ping().await.map_err(|error| TenancyError::Unreachable(error.to_string()))
    }

    /// Waits for queries under way and closes the connections.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }
}
