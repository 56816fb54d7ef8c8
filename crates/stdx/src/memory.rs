//! How much memory the process may count on: what the machine has, or what its control groups
//! leave it.

use rustix::system::sysinfo;
use std::fs;
use std::path::Path;

const CGROUPS: &str = "/sys/fs/cgroup";

/// In bytes.
pub fn total_bytes() -> u64 {
    let info = sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let granted = |group: &str| fs::read_to_string(Path::new(CGROUPS).join(group)).ok();
    limit(&groups, granted).map_or(machine, |limit| limit.min(machine))
}

/// The least that a group of the process, or one above it, is granted; `None` for no bound.
/// `groups` is `/proc/self/cgroup`, and `read` answers a file below the groups' directory.
pub(crate) fn limit(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    // The old form has a hierarchy of its own for memory, and no bound there is a huge one.
    let old = read("memory/memory.limit_in_bytes");
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let above = Path::new(group).ancestors().filter_map(|group| {
        let file = group.join("memory.max");
        read(file.to_str()?)
    });
    above.chain(old).filter_map(|text| text.trim().parse().ok()).min()
}
