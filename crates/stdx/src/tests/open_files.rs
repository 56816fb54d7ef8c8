//! The limit of open files, as the kernel tells it.

use crate::open_files::raise_limit;

#[test]
fn the_soft_limit_is_the_hard_one() {
    let limit = raise_limit();
    let told = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = told.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_eq!(words[3], limit.map_or("unlimited".to_owned(), |limit| limit.to_string()));
}
