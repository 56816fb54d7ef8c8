//! Lists in pages: `limit` and `cursor` in, `next_cursor` out. It must not know what is listed.

use port::Refusal;
use serde::Deserialize;
use wire_http::param::{page_cursor, parse_limit, parse_page_cursor};

const PAGE_DEFAULT: usize = 100;
pub const PAGE_MAX: usize = 1_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

pub struct Page {
    pub limit: usize,
    /// The last item of the page before.
    pub after: Option<Vec<u8>>,
}

impl PageQuery {
    pub fn page(&self) -> Result<Page, Refusal> {
        let limit = parse_limit(self.limit, PAGE_DEFAULT, PAGE_MAX)?;
        let after = self.cursor.as_deref().map(parse_page_cursor).transpose()?;
        Ok(Page { limit, after })
    }
}

/// The cursor behind a page's last item, when there is more.
pub fn next_cursor(last: Option<&[u8]>, has_more: bool) -> Option<String> {
    last.filter(|_| has_more).map(page_cursor)
}
