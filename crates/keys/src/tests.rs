//! The ring on a simulated disk: `Rig` opens it as the server would, over a log that is a list of
//! wrapped keys.

mod crashes;
mod faults;
mod formats;
mod life;
mod properties;
mod refusals;
mod roots;
mod rotations;
mod transfers;
mod vault;

use crate::settings::Sources;
use crate::{Keyring, KeysError, RootSource, SealedLog, Visit, World};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{DataKey, DataKeys, ExtentId, ExtentRef, WrappedKey};
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::TenantId;
use uuid::Uuid;

const DIR: &str = "/data/keys";
const START_MS: i64 = 1_795_219_200_000;

fn root_path() -> PathBuf {
    Path::new(DIR).join("root.key")
}

fn tenant(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(number))
}

fn extent(id: u32) -> ExtentRef {
    ExtentRef { id: ExtentId(id), generation: u64::from(id) + 7 }
}

fn file_source() -> Sources {
    Sources { root: RootSource::File(root_path()), next: None }
}

/// A log that survives everything: the wrapped keys it holds, and whether it cannot list them.
#[derive(Default)]
struct Log(Mutex<Vec<(ExtentRef, WrappedKey)>>, AtomicBool);

impl SealedLog for Log {
    fn each_key(&self, visit: &mut Visit<'_>) -> Result<(), String> {
        if self.1.load(Ordering::Relaxed) {
            return Err("extent 00000003 cannot be read".to_owned());
        }
        let keys = self.0.lock().clone();
        for (extent, wrapped) in keys.iter().rev() {
            if visit(*extent, wrapped).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn extents(&self) -> Vec<ExtentRef> {
        let mut extents: Vec<_> = self.0.lock().iter().map(|(extent, _)| *extent).collect();
        extents.sort_unstable();
        extents.dedup();
        extents
    }

    fn forget_keys(&self) {}
}

/// One data directory, and what was sealed in it.
struct Rig {
    disk: Arc<SimDisk>,
    rng: Arc<SeededRng>,
    clock: Arc<ManualClock>,
    log: Arc<Log>,
    /// Every data key handed out, with where its wrapped form lies.
    sealed: Mutex<Vec<(ExtentRef, WrappedKey, DataKey)>>,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        Rig {
            disk: SimDisk::shared(seed),
            rng: SeededRng::shared(seed),
            clock: ManualClock::shared(START_MS),
            log: Arc::default(),
            sealed: Mutex::default(),
        }
    }

    fn world(&self) -> World {
        let (disk, rng) = (Arc::clone(&self.disk), Arc::clone(&self.rng));
        World { disk, clock: self.clock.clone(), rng }
    }

    fn open(&self, sources: Sources) -> Result<Keyring, KeysError> {
        let keyring = Keyring::open(self.world(), Path::new(DIR), sources)?;
        keyring.attach(Arc::clone(&self.log) as _)?;
        Ok(keyring)
    }

    #[track_caller]
    fn start(&self) -> Keyring {
        self.open(file_source()).expect("the ring opens")
    }

    /// Seals something of the tenant's in an extent, as the store would.
    #[track_caller]
    fn seal(&self, keyring: &Keyring, owner: TenantId, place: ExtentRef) {
        let (key, wrapped) = keyring.make(owner, place).expect("a data key");
        self.log.0.lock().push((place, wrapped));
        self.sealed.lock().push((place, wrapped, key));
    }

    /// Every data key ever used opens to what it was, but for the tenants named.
    #[track_caller]
    fn check_all_but(&self, keyring: &Keyring, lost: &[TenantId]) {
        for (place, wrapped, key) in &*self.sealed.lock() {
            let opened = keyring.open(*place, wrapped);
            match lost.contains(&wrapped.tenant) {
                true => assert!(opened.is_err(), "{wrapped:?} opens"),
                false => {
                    let opened = opened.unwrap_or_else(|error| panic!("{wrapped:?}: {error}"));
                    assert_eq!(opened.bytes(), key.bytes());
                }
            }
        }
    }

    #[track_caller]
    fn check_all(&self, keyring: &Keyring) {
        self.check_all_but(keyring, &[]);
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk.bytes(&Path::new(DIR).join(name)).unwrap_or_default()
    }

    /// Puts a file there, whole and durable.
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = Path::new(DIR).join(name);
        crate::folder::replace(&*self.disk, &path, bytes, crate::folder::Old::Left)
            .expect("the disk works");
    }
}
