//! The page of the protocol says of each kind of request which versions are answered.

use crate::messages::Api;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../README.md");

fn said() -> BTreeMap<&'static str, &'static str> {
    let table = PAGE.split("| API | Versions | Notes |").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .flat_map(|cells| {
            let names: Vec<&str> = cells[1].split(", ").collect();
            let mut versions: Vec<&str> = cells[2].split(", ").collect();
            // One range for all of a row is said once.
            if versions.len() == 1 {
                versions.resize(names.len(), versions[0]);
            }
            assert_eq!(names.len(), versions.len(), "{cells:?}");
            names.into_iter().zip(versions)
        })
        .collect()
}

#[test]
fn the_page_says_what_is_answered() {
    let served = Api::ALL.iter().map(|api| {
        let (first, last) = api.versions().into_inner();
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        (api.name(), range)
    });
    let served: BTreeMap<&str, String> = served.collect();
    let said = said().into_iter().map(|(name, range)| (name, range.to_owned()));
    assert_eq!(said.collect::<BTreeMap<_, _>>(), served);
}
