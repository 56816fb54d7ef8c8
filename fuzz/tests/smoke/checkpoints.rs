//! The file that remembers which offsets were given: whatever is in it, the log refuses it with a
//! word or opens with what it says, and never panics.

use eventlog::{EmbeddedLog, Options, TopicSpec};
use std::path::Path;
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::Open;
use storage::World;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{Durability, ProjectId, TenantId, TopicConfig, TopicId};

const ITERATIONS: usize = 2_000;
const PATH: &str = "/data/checkpoint";

fn open(disk: &Arc<SimDisk>) -> Result<(), String> {
    let mut options = Options::new("/data");
    options.store.extent_bytes = 1 << 20;
    options.store.free_bytes_min = 0;
    let world = World {
        disk: disk.clone(),
        clock: ManualClock::shared(1_000),
        rng: SeededRng::shared(1),
        keys: None,
    };
    let config = TopicConfig { durability: Durability::Relaxed, ..TopicConfig::default() };
    let topic = TopicSpec {
        id: TopicId(1),
        tenant: TenantId(uuid::Uuid::from_u128(1)),
        project: ProjectId(uuid::Uuid::from_u128(1)),
        config,
    };
    match EmbeddedLog::open_driven(world, options, vec![topic]) {
        Ok((_log, driver, _)) => {
            driver.stop();
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let disk = SimDisk::shared(1);
    let file = disk.open(Path::new(PATH), Open::Write).expect("opens");
    file.write_at(bytes, 0).expect("writes");
    let outcome = open(&disk);
    if let Err(error) = &outcome {
        assert!(error.contains("checkpoint"), "{error}");
    }
    outcome
}

/// A real one, of a log that was closed.
fn template() -> Vec<u8> {
    let disk = SimDisk::shared(1);
    open(&disk).expect("an empty directory opens");
    disk.bytes(Path::new(PATH)).expect("is written")
}

/// With its checksum made right, so that what comes after it is reached.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(body) = bytes.len().checked_sub(4) {
        let checksum = crc_fast::crc32_iscsi(&bytes[..body]);
        bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

#[test]
fn a_real_one_is_taken() {
    check(&template()).expect("opens");
}

#[test]
fn any_bytes_are_survived() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let _ = check(bytes);
        let _ = check(&sealed(bytes.to_vec()));
    });
}

#[test]
fn changes_are_refused_or_mean_something() {
    let template = template();
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u16, u8)>>().for_each(
        |edits: &Vec<(u16, u8)>| {
            let mut bytes = template.clone();
            for &(at, mask) in edits {
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= mask;
            }
            if bytes != template {
                check(&bytes).expect_err("the checksum is wrong");
            }
            let _ = check(&sealed(bytes));
        },
    );
}
