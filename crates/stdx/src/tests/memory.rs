//! How much memory a process may count on.

use crate::memory::{limit, total_bytes};

#[test]
fn the_narrowest_group_decides() {
    let files = |file: &str| match file {
        "a.slice/b.service/memory.max" => Some("max\n".to_owned()),
        "a.slice/memory.max" => Some("1073741824\n".to_owned()),
        "memory.max" => Some("2147483648\n".to_owned()),
        _ => None,
    };
    assert_eq!(limit("1:cpu:/other\n0::/a.slice/b.service\n", files), Some(1 << 30));
    assert_eq!(limit("0::/\n", files), Some(2 << 30), "a container's own");
    assert_eq!(limit("0::/elsewhere\n", |_| None), None);
    let old = |file: &str| (file == "memory/memory.limit_in_bytes").then(|| "4096".to_owned());
    assert_eq!(limit("3:memory:/x\n", old), Some(4096));
}

#[test]
fn this_machine_has_some() {
    let told = std::fs::read_to_string("/proc/meminfo").expect("Linux");
    let line = told.lines().find(|line| line.starts_with("MemTotal:")).expect("the total");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    let told = total_bytes();
    assert!(told > 0 && told <= (kib + 1) * 1024 * 2, "{told} of {line}");
}
