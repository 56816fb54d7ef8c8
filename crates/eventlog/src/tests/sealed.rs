//! A log whose records are sealed at rest: nothing readable on the disk, shredding that takes
//! effect at once, and one tenant without a key who stops nobody else.

use super::*;
use crate::embedded::hasher::KeyHasher;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::Disk;
use storage::{DataKey, DataKeys, ExtentRef, KeyError, WRAPPED_BYTES, WrappedKey};

const OTHER: TopicId = TopicId(8);

/// Keys of tenants, with a wrapping that is enough for a test.
#[derive(Default)]
struct Ring {
    /// By tenant, why there is no key.
    refused: Mutex<BTreeMap<TenantId, KeyError>>,
    epoch: AtomicU64,
    made: AtomicU64,
}

impl Ring {
    fn set(&self, tenant: TenantId, refused: Option<KeyError>) {
        match refused {
            Some(error) => self.refused.lock().insert(tenant, error),
            None => self.refused.lock().remove(&tenant),
        };
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn pad(&self, tenant: TenantId) -> Result<u8, KeyError> {
        match self.refused.lock().get(&tenant) {
            Some(error) => Err(error.clone()),
            None => Ok(tenant.0.as_bytes()[15] ^ 0x5a),
        }
    }
}

impl DataKeys for Ring {
    fn make(&self, tenant: TenantId, _: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError> {
        let pad = self.pad(tenant)?;
        let number = self.made.fetch_add(1, Ordering::SeqCst) as u8;
        let mut bytes = [0; WRAPPED_BYTES];
        bytes[..32].fill(number ^ pad);
        let wrapped = WrappedKey { tenant, version: 1, nonce: [0; 12], bytes };
        Ok((DataKey::new([number; 32]), wrapped))
    }

    fn open(&self, _: ExtentRef, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        Ok(DataKey::new([wrapped.bytes[0] ^ self.pad(wrapped.tenant)?; 32]))
    }

    fn index_secret(&self, tenant: TenantId) -> Result<[u8; 16], KeyError> {
        self.pad(tenant).map(|pad| [pad; 16])
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }
}

/// Two topics of two tenants.
fn bed(ring: &Arc<Ring>) -> Bed {
    let other = TopicSpec { tenant: tenant(2), ..spec(OTHER, 1, Durability::Durable) };
    let mut bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Durable), other]);
    bed.keys = Some(ring.clone());
    bed
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

async fn append_other(log: &EmbeddedLog, text: &str) -> Result<Offset, LogError> {
    log.append(OTHER, 0, vec![keyed("k", text)]).await.map(|appended| appended.base_offset)
}

#[tokio::test]
async fn no_value_key_or_header_is_readable_on_the_disk() {
    let ring = Arc::new(Ring::default());
    let bed = bed(&ring);
    let log = bed.open();
    let canary = "CANARY-4711";
    let header = types::Header {
        name: Bytes::from_static(b"CANARY-4711-name"),
        value: Bytes::from_static(b"CANARY-4711-value"),
    };
    for n in 0..20 {
        let text = format!("{canary}-{}", "x".repeat(80_000 + n));
        let record = Record { headers: vec![header.clone()].into(), ..keyed(canary, &text) };
        append(&log, vec![record]).await;
    }
    let log = bed.crash(log);
    log.maintain();
    log.close().await;
    let plain_hash = KeyHasher::Plain.hash(canary.as_bytes()).to_le_bytes();
    for dir in ["/data", "/data/extents"] {
        for name in bed.disk.list(Path::new(dir)).expect("lists") {
            let bytes = bed.disk.bytes(&Path::new(dir).join(&name)).expect("is there");
            assert!(!holds(&bytes, canary.as_bytes()), "{dir} {name:?}");
            assert!(!holds(&bytes, &plain_hash), "a hash that all can compute: {dir} {name:?}");
        }
    }
    drop(log);
    let log = bed.open();
    let found = log.last_of_key(TOPIC, 0, key(canary), 100).await.expect("reads");
    assert_eq!(found.len(), 20, "found by its keyed hash");
}

#[tokio::test]
async fn what_was_stored_before_the_log_was_encrypted_is_still_found_by_key() {
    let ring = Arc::new(Ring::default());
    let mut bed = bed(&ring).without_tail();
    bed.keys = None;
    let log = bed.open();
    append(&log, vec![keyed("a", "plain")]).await;
    log.close().await;
    drop(log);
    bed.keys = Some(ring);
    let log = bed.open();
    let found = log.latest(TOPIC, 0, key("a")).await.expect("reads");
    assert_eq!(found.map(|found| text(&found.record)).as_deref(), Some("plain"));
    append(&log, vec![keyed("a", "sealed")]).await;
    let both = log.last_of_key(TOPIC, 0, key("a"), 10).await.expect("reads");
    let texts: Vec<_> = both.iter().map(|found| text(&found.record)).collect();
    assert_eq!(texts, ["plain", "sealed"]);
}

#[tokio::test]
async fn a_shredded_tenant_is_refused_at_once_also_from_memory() {
    let ring = Arc::new(Ring::default());
    let bed = bed(&ring);
    let log = bed.open();
    append(&log, vec![keyed("k", "gone soon")]).await;
    append_other(&log, "stays").await.expect("is stored");
    assert!(log.health().tail_bytes > 0);
    ring.set(tenant(1), Some(KeyError::Shredded(tenant(1))));
    let shredded = Err(LogError::Shredded);
    assert_eq!(read_all(&log, TOPIC, 0, 0).await, shredded);
    assert_eq!(log.latest(TOPIC, 0, key("k")).await, Err(LogError::Shredded));
    assert_eq!(log.keys(TOPIC, None, 10).await, Err(LogError::Shredded));
    assert_eq!(log.append(TOPIC, 0, vec![value("x")]).await, Err(LogError::Shredded));
    assert_eq!(append_other(&log, "as well").await, Ok(1));
    let before = log.health().tail_bytes;
    log.keys_changed();
    assert!(log.health().tail_bytes < before, "its recent batches are not kept");
    let log = bed.crash(log);
    assert_eq!(read_all(&log, TOPIC, 0, 0).await, Err(LogError::Shredded));
    assert!(log.stored_bytes(TOPIC) > 0);
    log.maintain();
    assert_eq!(log.stored_bytes(TOPIC), 0, "its space is not kept either");
    let others = read_all(&log, OTHER, 0, 0).await.expect("reads");
    assert_eq!(others.len(), 2);
}

#[tokio::test]
async fn a_tenant_without_a_key_stops_nobody_else() {
    let ring = Arc::new(Ring::default());
    let bed = bed(&ring);
    let (log, mut driver) = bed.open_driven();
    let missing = KeyError::Missing { tenant: tenant(1), version: 1 };
    // They are in line already when the key goes.
    let first = log.append(TOPIC, 0, vec![value("no")]);
    let second = log.append(OTHER, 0, vec![value("yes")]);
    let third = log.append(TOPIC, 0, vec![value("no")]);
    ring.set(tenant(1), Some(missing.clone()));
    while driver.commit() {}
    for refused in [first.await, third.await] {
        assert_eq!(refused, Err(LogError::NoKey(missing.to_string())));
    }
    assert_eq!(second.await.map(|appended| appended.base_offset), Ok(0));
    ring.set(tenant(1), None);
    let again = log.append(TOPIC, 0, vec![value("now")]);
    while driver.commit() {}
    assert_eq!(again.await.map(|appended| appended.base_offset), Ok(0), "no offset was lost");
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads").len(), 1);
}

#[test]
fn keyed_hashes_are_siphash() {
    // The first two test vectors of the reference implementation: key 00..0f, input 00..(n-1).
    let secret = std::array::from_fn(|index| index as u8);
    let hasher = KeyHasher::Keyed(secret);
    assert_eq!(hasher.hash(&[]), 0x726f_db47_dd0e_0e31);
    assert_eq!(hasher.hash(&[0]), 0x74f8_39c5_93dc_67fd);
    // And the one of the paper, of 15 bytes.
    let input: Vec<u8> = (0..15).collect();
    assert_eq!(hasher.hash(&input), 0xa129_ca61_49be_45e5);
    assert_ne!(KeyHasher::Keyed([1; 16]).hash(b"k"), hasher.hash(b"k"));
}

#[tokio::test]
async fn the_collector_seals_anew_and_leaves_out_what_is_shredded() {
    let ring = Arc::new(Ring::default());
    let mut bed = bed(&ring).without_tail();
    bed.topics[0].config.cleanup = types::Cleanup::Compact;
    bed.options.store.pool_extents = 0;
    let mut hands = Hands::open(bed);
    let canary = "CANARY-4711";
    for turn in 0..60 {
        hands
            .append(TOPIC, keyed(canary, &format!("{canary}-{turn}-{}", "x".repeat(40_000))))
            .await;
        hands.append(OTHER, keyed("k", &format!("{turn}-{}", "x".repeat(20_000)))).await;
    }
    let kept = hands.rows(OTHER, 0).await;
    let before = ring.made.load(Ordering::SeqCst);
    assert!(hands.collect() > 0);
    assert!(ring.made.load(Ordering::SeqCst) > before, "a new extent has keys of its own");
    hands = hands.reopen();
    assert_eq!(hands.rows(OTHER, 0).await, kept);
    let found = hands.log.latest(TOPIC, 0, key(canary)).await.expect("reads");
    assert_eq!(found.map(|found| found.offset), Some(59));
    for name in hands.bed.disk.list(Path::new("/data/extents")).expect("lists") {
        let bytes =
            hands.bed.disk.bytes(&Path::new("/data/extents").join(&name)).expect("is there");
        assert!(!holds(&bytes, canary.as_bytes()), "{name:?}");
    }
    ring.set(tenant(2), Some(KeyError::Shredded(tenant(2))));
    let stored = hands.log.stored_bytes(OTHER);
    hands.collect();
    // What is left of it is what the collector did not come to.
    assert!(hands.log.stored_bytes(OTHER) <= stored);
    let found = hands.log.latest(TOPIC, 0, key(canary)).await.expect("reads");
    assert_eq!(found.map(|found| found.offset), Some(59));
    assert_eq!(hands.log.read(OTHER, 0, 0, 1).await, Err(LogError::Shredded));
}
