//! All entries of a table that a text begins with, found by one binary search: whatever lies
//! between a prefix and the text in the order of bytes begins with that prefix too, so every prefix
//! of the text is the text's predecessor in the table or one that the predecessor begins with.

const NONE: u32 = u32::MAX;

struct Entry<T> {
    text: Box<str>,
    /// The longest other entry that this one begins with.
    parent: u32,
    value: T,
}

pub struct PrefixTable<T>(Box<[Entry<T>]>);

impl<T> Default for PrefixTable<T> {
    fn default() -> PrefixTable<T> {
        PrefixTable(Box::default())
    }
}

impl<T> PrefixTable<T> {
    /// Each text once.
    pub fn new(mut texts: Vec<(Box<str>, T)>) -> PrefixTable<T> {
        texts.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(texts.len());
        let mut open: Vec<u32> = Vec::new();
        for (number, (text, value)) in (0..).zip(texts) {
            while let Some(&last) = open.last() {
                let is_prefix =
                    entries.get(last as usize).is_some_and(|it| text.starts_with(&*it.text));
                if is_prefix {
                    break;
                }
                open.pop();
            }
            let parent = open.last().copied().unwrap_or(NONE);
            entries.push(Entry { text, parent, value });
            open.push(number);
        }
        PrefixTable(entries.into())
    }

    /// Calls `visit` with each entry that the text begins with.
    pub fn visit<'a>(&'a self, text: &[u8], mut visit: impl FnMut(&'a T)) {
        let after = self.0.partition_point(|entry| entry.text.as_bytes() <= text);
        let mut at = match after.checked_sub(1) {
            Some(before) => before,
            None => return,
        };
        while let Some(entry) = self.0.get(at) {
            if text.starts_with(entry.text.as_bytes()) {
                visit(&entry.value);
            }
            if entry.parent == NONE {
                return;
            }
            at = entry.parent as usize;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|entry| (&*entry.text, &entry.value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
