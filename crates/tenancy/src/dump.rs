//! All records as one portable text, for backups: written from SQLite or PostgreSQL alike, and read
//! into either. The tables are found in the database itself, so a table that is added later is in
//! the next dump without anybody's thinking of it.
//!
//! ```text
//! {"format":1,"migrations":["m0001_records", ...]}
//! {"table":"tenants","columns":[["id","uuid"],["name","text"], ...]}
//! ["0197...","acme", ...]                                 one line per row
//! {"tables":12,"rows":3401}                               the end: without it the dump is cut
//! ```
//! It must not know what a table means, nor where the text is kept; whoever keeps it seals it.

mod columns;
mod load;
mod value;

use crate::migration::Migrator;
use crate::{Result, Tenancy, TenancyError};
use columns::Table;
use futures_util::TryStreamExt;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, Statement,
    StreamTrait, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use serde::{Deserialize, Serialize};
use std::io;

/// Version of the text's form.
const FORMAT: u32 = 1;
/// A row longer than this is not one of ours; it also bounds what reading a dump holds.
pub const DUMP_LINE_BYTES_MAX: usize = 32 << 20;
/// Text is handed on in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

/// Takes the dump piece by piece. It may block: call `Tenancy::dump` where that is allowed.
pub type DumpSink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + Send + 'a;
/// Gives a dump piece by piece, nothing at its end. It may block.
pub type DumpSource<'a> = dyn FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'a;

/// How much a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpSize {
    pub tables: u64,
    pub rows: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    migrations: Vec<String>,
}

fn io_failed(error: &io::Error) -> TenancyError {
    TenancyError::Database(format!("the dump cannot be passed on: {error}"))
}

/// Gathers text and hands it on in pieces.
struct Out<'a, 'b> {
    sink: &'a mut DumpSink<'b>,
    piece: Vec<u8>,
}

impl Out<'_, '_> {
    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.piece, line)
            .map_err(|error| TenancyError::Database(error.to_string()))?;
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        (self.sink)(&self.piece).map_err(|error| io_failed(&error))?;
        self.piece.clear();
        Ok(())
    }
}

impl Tenancy {
    /// Writes all there is, as it is at one moment, while others go on writing.
    pub async fn dump(&self, sink: &mut DumpSink<'_>) -> Result<DumpSize> {
        let reader = self.reader();
        let applied = Migrator::get_applied_migrations(reader).await?;
        let migrations = applied.iter().map(|migration| migration.name().to_owned()).collect();
        let snapshot = match reader.get_database_backend() {
            // One snapshot for all statements; SQLite's transactions have it by themselves.
            DbBackend::Postgres => {
                let isolation = Some(IsolationLevel::RepeatableRead);
                reader.begin_with_config(isolation, Some(AccessMode::ReadOnly)).await?
            }
            _ => reader.begin().await?,
        };
        let mut out = Out { sink, piece: Vec::new() };
        out.line(&Head { format: FORMAT, migrations })?;
        let mut size = DumpSize::default();
        for table in columns::tables(&snapshot).await? {
            size.tables += 1;
            size.rows += write_table(&snapshot, &table, &mut out).await?;
        }
        out.line(&size)?;
        out.flush()?;
        Ok(size)
    }
}

async fn write_table(
    snapshot: &DatabaseTransaction,
    table: &Table,
    out: &mut Out<'_, '_>,
) -> Result<u64> {
    out.line(&table.head())?;
    let backend = ConnectionTrait::get_database_backend(snapshot);
    let select = Statement::from_string(backend, table.select(backend));
    let mut rows = snapshot.stream_raw(select).await?;
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        out.line(&value::row(&row, &table.columns)?)?;
        count += 1;
    }
    Ok(count)
}
