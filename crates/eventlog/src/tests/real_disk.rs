//! The same engine on the machine's own disk.

use super::*;
use std::time::Duration;
use stdx::{SystemClock, SystemRng};

fn world() -> World {
    World {
        disk: stdx::disk::SystemDisk::shared(),
        clock: SystemClock::shared(),
        rng: SystemRng::shared(),
        keys: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_and_a_follower_agree_over_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = Options::new(dir.path().join("log"));
    options.store.extent_bytes = 4 << 20;
    options.store.free_bytes_min = 0;
    options.tail_bytes_max = 256 << 10;
    options.maintain_interval = Some(Duration::from_millis(20));
    let topics = vec![spec(TOPIC, 2, Durability::Durable)];
    let (log, _) = EmbeddedLog::open(world(), options.clone(), topics.clone()).expect("opens");
    let publishers: Vec<_> = (0..8u32)
        .map(|publisher| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for turn in 0..50 {
                    let record = value(&format!("{publisher}/{turn}/{}", "x".repeat(1_000)));
                    let appended = log.append(TOPIC, publisher % 2, vec![record; 10]).await;
                    offsets.push(appended.expect("is stored").base_offset);
                }
                offsets
            })
        })
        .collect();
    let follower = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut next = 0;
            while next < 2_000 {
                let batches = log.read(TOPIC, 0, next, 256 << 10).await.expect("reads");
                for batch in &batches {
                    assert!(batch.base_offset() <= next && batch.next_offset() > next);
                    next = batch.next_offset();
                }
                if batches.is_empty() {
                    log.wait(TOPIC, vec![(0, next)]).await.expect("more comes");
                }
            }
        })
    };
    for publisher in publishers {
        assert!(publisher.await.expect("ends").is_sorted());
    }
    follower.await.expect("reads to the end");
    let before = read_all(&log, TOPIC, 1, 0).await.expect("reads");
    assert_eq!(before.len(), 2_000);
    log.close().await;
    drop(log);
    let (log, report) = EmbeddedLog::open(world(), options, topics).expect("opens again");
    assert!(report.damaged.is_empty());
    assert_eq!(read_all(&log, TOPIC, 1, 0).await.expect("reads"), before);
}
