//! Bounded answers: each list ends with the place where the next one begins. The place is always
//! a unique identifier, never a time, so that no two rows share one.

/// Items of one page at most; a larger wish is cut down to this.
pub const PAGE_ITEMS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// There are more after the last item.
    pub has_more: bool,
}

/// How many rows to ask for: one more than wanted tells whether there are more.
pub(crate) fn fetch_count(limit: usize) -> u64 {
    limit.clamp(1, PAGE_ITEMS_MAX) as u64 + 1
}

impl<T> Page<T> {
    /// From rows fetched with `fetch_count(limit)`.
    pub(crate) fn collect<R, E>(
        mut rows: Vec<R>,
        limit: usize,
        convert: impl Fn(R) -> Result<T, E>,
    ) -> Result<Page<T>, E> {
        let wanted = limit.clamp(1, PAGE_ITEMS_MAX);
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        let items = rows.into_iter().map(convert).collect::<Result<Vec<T>, E>>()?;
        Ok(Page { items, has_more })
    }
}
