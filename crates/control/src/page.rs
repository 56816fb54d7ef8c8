//! Pages of lists: how many and where to go on. The place is the last item's identifier or name,
//! never a time.

use port::Refusal;
use serde::Deserialize;
use std::fmt::Display;
use std::str::FromStr;
use wire_http::param::{bad_page_cursor, page_cursor, parse_limit, parse_page_cursor};

const LIMIT_DEFAULT: usize = 100;
pub(crate) const LIMIT_MAX: usize = 1_000;
const _: () = assert!(LIMIT_MAX <= tenancy::PAGE_ITEMS_MAX);

/// The query of a list without filters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<String>,
}

pub(crate) fn limit(wanted: Option<u32>) -> Result<usize, Refusal> {
    parse_limit(wanted, LIMIT_DEFAULT, LIMIT_MAX)
}

/// What the cursor names.
pub(crate) fn place<T: FromStr>(cursor: Option<&str>) -> Result<Option<T>, Refusal> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = parse_page_cursor(cursor)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad_page_cursor())?;
    text.parse().map(Some).map_err(|_| bad_page_cursor())
}

impl PageQuery {
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        limit(self.limit)
    }

    pub(crate) fn place<T: FromStr>(&self) -> Result<Option<T>, Refusal> {
        place(self.cursor.as_deref())
    }
}

/// `next_cursor` of a page; `None` on the last.
pub(crate) fn next_cursor(last: Option<impl Display>, has_more: bool) -> Option<String> {
    last.filter(|_| has_more).map(|last| page_cursor(last.to_string().as_bytes()))
}
