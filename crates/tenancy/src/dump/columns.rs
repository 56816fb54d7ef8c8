//! Which tables and columns a database has, in words that both databases share. It must not know
//! any table by name but the one in which the migrations keep their own books.

use crate::{Result, TenancyError};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::{Deserialize, Serialize};

/// Where applied migrations are written down: the one that reads a dump keeps its own.
const BOOKS: &str = "seaql_migrations";

/// What a column holds, whatever the database calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Uuid,
    Text,
    Integer,
    Json,
    Bytes,
    Boolean,
    Double,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<(String, Kind)>,
}

/// A table's line in a dump.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableHead {
    pub table: String,
    pub columns: Vec<(String, Kind)>,
}

impl Table {
    pub fn head(&self) -> TableHead {
        TableHead { table: self.name.clone(), columns: self.columns.clone() }
    }

    pub fn select(&self, backend: DbBackend) -> String {
        let column = |(name, kind): &(String, Kind)| match (backend, kind) {
            (DbBackend::Postgres, Kind::Integer) => format!("{}::int8", quoted(name)),
            (DbBackend::Postgres, Kind::Double) => format!("{}::float8", quoted(name)),
            _ => quoted(name),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        format!("SELECT {} FROM {}", columns.join(", "), quoted(&self.name))
    }

    pub fn insert(&self, backend: DbBackend) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        let place = |number: usize| match backend {
            DbBackend::Postgres => format!("${number}"),
            _ => "?".to_owned(),
        };
        let places: Vec<String> = (1..=columns.len()).map(place).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        format!("INSERT INTO {} ({columns}) VALUES ({places})", quoted(&self.name))
    }
}

/// Names come from the database itself, yet are never trusted to need no quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables in the order of their creation, which is one that foreign keys allow.
pub(super) async fn tables(connection: &impl ConnectionTrait) -> Result<Vec<Table>> {
    let backend = connection.get_database_backend();
    let query = match backend {
        DbBackend::Postgres => {
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relkind = 'r' ORDER BY c.oid"
        }
        _ => {
            "SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        }
    };
    let rows = connection.query_all_raw(Statement::from_string(backend, query)).await?;
    let mut tables = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get_by_index(0)?;
        if name != BOOKS {
            let columns = columns(connection, &name).await?;
            tables.push(Table { name, columns });
        }
    }
    Ok(tables)
}

async fn columns(connection: &impl ConnectionTrait, table: &str) -> Result<Vec<(String, Kind)>> {
    let backend = connection.get_database_backend();
    let query = match backend {
        DbBackend::Postgres => {
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
        _ => "SELECT name, type FROM pragma_table_info(?) ORDER BY cid",
    };
    let query = Statement::from_sql_and_values(backend, query, [table.into()]);
    let rows = connection.query_all_raw(query).await?;
    let column = |row: sea_orm::QueryResult| {
        let (name, declared): (String, String) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let kind = kind(&declared).ok_or_else(|| {
            let what = format!("column {table}.{name} has type {declared}, which no dump holds");
            TenancyError::Database(what)
        })?;
        Ok((name, kind))
    };
    rows.into_iter().map(column).collect()
}

/// The types that migrations use, as each database declares them.
fn kind(declared: &str) -> Option<Kind> {
    let declared = declared.to_ascii_lowercase();
    let bare = declared.split('(').next().unwrap_or_default().trim();
    Some(match bare {
        "uuid_text" | "uuid" => Kind::Uuid,
        "text" | "varchar" | "character varying" | "character" | "char" => Kind::Text,
        "integer" | "bigint" | "smallint" | "int" | "tinyint" => Kind::Integer,
        "json_text" | "jsonb_text" | "json" | "jsonb" => Kind::Json,
        "blob" | "bytea" | "varbinary_blob" | "binary_blob" => Kind::Bytes,
        "boolean" => Kind::Boolean,
        "double" | "double precision" | "real" | "float" => Kind::Double,
        _ => return None,
    })
}
