//! Reading a dump into an empty database: first the tables as they were when it was written, then
//! its rows, then the migrations that have come since. All or nothing.

use super::columns::{self, Kind, Table, TableHead, quoted};
use super::{DUMP_LINE_BYTES_MAX, DumpSize, DumpSource, FORMAT, Head, io_failed, value};
use crate::migration::Migrator;
use crate::{Options, Result, Tenancy, TenancyError, connect};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use serde_json::Value;

fn corrupt(why: impl Into<String>) -> TenancyError {
    TenancyError::Corrupt(why.into())
}

/// Lines out of pieces.
struct Lines<'a, 'b> {
    source: &'a mut DumpSource<'b>,
    buffer: Vec<u8>,
    /// What of the buffer was answered already.
    taken: usize,
}

impl Lines<'_, '_> {
    fn next(&mut self) -> Result<Option<&[u8]>> {
        let mut searched = self.taken;
        loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
                let line = self.taken..searched + length;
                self.taken = line.end + 1;
                return Ok(self.buffer.get(line));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            searched = self.buffer.len();
            if searched > DUMP_LINE_BYTES_MAX {
                return Err(corrupt("a line of the dump is longer than any row"));
            }
            match (self.source)().map_err(|error| io_failed(&error))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(corrupt("the dump ends within a line")),
            }
        }
    }
}

enum Line {
    Table(TableHead),
    Row(Vec<Value>),
    End(DumpSize),
}

fn line(bytes: &[u8]) -> Result<Line> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|_| corrupt("a line of the dump is no JSON"))?;
    let unknown = |error: serde_json::Error| corrupt(format!("a line of the dump: {error}"));
    match value {
        Value::Array(row) => Ok(Line::Row(row)),
        value if value.get("table").is_some() => {
            serde_json::from_value(value).map(Line::Table).map_err(unknown)
        }
        value => serde_json::from_value(value).map(Line::End).map_err(unknown),
    }
}

impl Tenancy {
    /// Fills an empty database with a dump and brings it up to date. `Conflict` when there is
    /// anything in it, `Corrupt` when the dump is not whole or of a newer version; the database
    /// is then as empty as it was, but for tables without rows.
    pub async fn load(options: &Options, source: &mut DumpSource<'_>) -> Result<DumpSize> {
        let (reader, writer) = connect::open(options).await?;
        let loaded = load(&writer, source).await;
        let closed = match reader.close().await {
            Ok(()) => writer.close().await,
            failed => failed,
        };
        let size = loaded?;
        closed?;
        Ok(size)
    }

    /// Checks that a dump can be read here, without a database.
    pub fn check_dump(source: &mut DumpSource<'_>) -> Result<DumpSize> {
        let mut lines = Lines { source, buffer: Vec::new(), taken: 0 };
        head(&mut lines)?;
        let mut counted = DumpSize::default();
        let mut columns: Vec<(String, Kind)> = Vec::new();
        while let Some(bytes) = lines.next()? {
            match line(bytes)? {
                Line::Table(head) => {
                    counted.tables += 1;
                    columns = head.columns;
                }
                Line::Row(row) => {
                    counted.rows += 1;
                    bind(row, &columns)?;
                }
                Line::End(size) if size == counted => return Ok(size),
                Line::End(_) => return Err(corrupt("rows of the dump are missing")),
            }
        }
        Err(corrupt("the dump is cut short"))
    }
}

/// How many of our migrations the dump has behind it.
fn head(lines: &mut Lines<'_, '_>) -> Result<u32> {
    let first = lines.next()?.ok_or_else(|| corrupt("the dump is empty"))?;
    let head: Head =
        serde_json::from_slice(first).map_err(|_| corrupt("this is no dump of the records"))?;
    if head.format != FORMAT {
        return Err(corrupt(format!("the dump has form {}, not {FORMAT}", head.format)));
    }
    let ours = Migrator::migrations();
    let same = head.migrations.iter().zip(&ours).all(|(theirs, ours)| theirs == ours.name());
    if !same || head.migrations.len() > ours.len() {
        return Err(corrupt("the dump was written by another version: use that or a newer one"));
    }
    u32::try_from(head.migrations.len()).map_err(|_| corrupt("too many migrations"))
}

async fn load(
    writer: &sea_orm::DatabaseConnection,
    source: &mut DumpSource<'_>,
) -> Result<DumpSize> {
    let found = columns::tables(writer).await?;
    if let Some(table) = found.first() {
        let what = format!("the database is not empty: it has a table `{}`", table.name);
        return Err(TenancyError::state(what));
    }
    let mut lines = Lines { source, buffer: Vec::new(), taken: 0 };
    let migrations = head(&mut lines)?;
    Migrator::up(writer, Some(migrations)).await?;
    let tables = columns::tables(writer).await?;
    let transaction = writer.begin().await?;
    let size = rows(&transaction, &tables, &mut lines).await?;
    set_sequences(&transaction, &tables).await?;
    transaction.commit().await?;
    Migrator::up(writer, None).await?;
    Ok(size)
}

async fn rows(
    transaction: &DatabaseTransaction,
    tables: &[Table],
    lines: &mut Lines<'_, '_>,
) -> Result<DumpSize> {
    let backend = transaction.get_database_backend();
    let mut counted = DumpSize::default();
    let mut into: Option<(Table, String)> = None;
    while let Some(bytes) = lines.next()? {
        match line(bytes)? {
            Line::Table(head) => {
                let table = Table { name: head.table, columns: head.columns };
                check(&table, tables)?;
                counted.tables += 1;
                let insert = table.insert(backend);
                into = Some((table, insert));
            }
            Line::Row(row) => {
                let (table, insert) = into.as_ref().ok_or_else(|| corrupt("a row of no table"))?;
                let bound = bind(row, &table.columns)?;
                let insert = Statement::from_sql_and_values(backend, insert, bound);
                transaction.execute_raw(insert).await?;
                counted.rows += 1;
            }
            Line::End(size) if size == counted => return Ok(size),
            Line::End(_) => return Err(corrupt("rows of the dump are missing")),
        }
    }
    Err(corrupt("the dump is cut short"))
}

fn check(table: &Table, ours: &[Table]) -> Result<()> {
    let name = &table.name;
    let ours = ours.iter().find(|ours| ours.name == *name);
    let ours = ours.ok_or_else(|| corrupt(format!("the dump has an unknown table `{name}`")))?;
    for column in &table.columns {
        if !ours.columns.contains(column) {
            let (column, kind) = column;
            return Err(corrupt(format!("table `{name}` has no column `{column}` of {kind:?}")));
        }
    }
    Ok(())
}

fn bind(row: Vec<Value>, columns: &[(String, Kind)]) -> Result<Vec<sea_orm::Value>> {
    if row.len() != columns.len() {
        return Err(corrupt("a row of the dump has another number of columns than its table"));
    }
    row.into_iter()
        .zip(columns)
        .map(|(cell, (name, kind))| {
            value::bound(cell, *kind).ok_or_else(|| value::not_a(*kind, name))
        })
        .collect()
}

/// PostgreSQL counts apart from the rows: the next number follows the greatest there is.
async fn set_sequences(transaction: &DatabaseTransaction, tables: &[Table]) -> Result<()> {
    let backend = transaction.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(());
    }
    for table in tables {
        let (quoted_table, integers) =
            (quoted(&table.name), table.columns.iter().filter(|(_, kind)| *kind == Kind::Integer));
        for (column, _) in integers {
            let set = format!(
                "SELECT setval(pg_get_serial_sequence($1, $2), max({column})) FROM {quoted_table} \
                 WHERE pg_get_serial_sequence($1, $2) IS NOT NULL HAVING max({column}) IS NOT NULL",
                column = quoted(column),
            );
            let names = [quoted_table.clone().into(), column.clone().into()];
            let set = Statement::from_sql_and_values(backend, set, names);
            transaction.query_all_raw(set).await?;
        }
    }
    Ok(())
}
