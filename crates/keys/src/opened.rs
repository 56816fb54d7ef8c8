//! What is wrapped in the ring, opened: the secrets of the tenants that live. They are in memory
//! while the process runs, because a data key must be had without waiting.

use crate::cipher::{
    self, INDEX_SECRET_BYTES, Purpose, SEALED_INDEX_BYTES, SEALED_KEY_BYTES, Wrapping,
};
use crate::ring::{Live, Progress, TablePresence, Version};
use crate::secret::Secret;
use stdx::Rng;
use types::{TenantId, TimestampMs};
use zeroize::Zeroizing;

/// The ring key, and what is derived from it.
#[derive(Clone)]
pub(crate) struct RingKeys {
    pub(crate) key: Secret,
    wrap: Secret,
    pub(crate) mac: Secret,
}

impl RingKeys {
    pub(crate) fn new(key: Secret) -> RingKeys {
        let wrap = cipher::derive(&key, b"ring wrap");
        let mac = cipher::derive(&key, b"ring mac");
        RingKeys { key, wrap, mac }
    }
}

/// One tenant's secrets.
pub(crate) struct Opened {
    pub(crate) index_secret: Box<Zeroizing<[u8; INDEX_SECRET_BYTES]>>,
    /// By version, rising.
    keys: Vec<(u32, Secret)>,
}

impl Opened {
    /// `None` when something in it was not wrapped under this ring key.
    pub(crate) fn of(tenant: TenantId, live: &Live, ring: &RingKeys) -> Option<Opened> {
        let purpose = Purpose::IndexSecret { tenant };
        let plain = cipher::open(&ring.wrap, purpose, &live.index_secret)?;
        let mut index_secret = Box::new(Zeroizing::new([0; INDEX_SECRET_BYTES]));
        if plain.len() != INDEX_SECRET_BYTES {
            return None;
        }
        index_secret.copy_from_slice(&plain);
        let keys = live.versions.iter().map(|version| {
            let purpose = Purpose::TenantKey { tenant, version: version.number };
            Some((version.number, cipher::open_key(&ring.wrap, purpose, &version.sealed)?))
        });
        Some(Opened { index_secret, keys: keys.collect::<Option<_>>()? })
    }

    pub(crate) fn key(&self, version: u32) -> Option<&Secret> {
        self.keys.iter().find(|(number, _)| *number == version).map(|(_, key)| key)
    }

    pub(crate) fn wrapping(&self, tenant: TenantId, version: u32) -> Option<Wrapping<'_>> {
        self.key(version).map(|key| Wrapping { tenant, version, key })
    }

    /// What wraps new data keys.
    pub(crate) fn current(&self, tenant: TenantId) -> Option<Wrapping<'_>> {
        let (version, key) = self.keys.last()?;
        Some(Wrapping { tenant, version: *version, key })
    }

    /// The same secrets as another ring key wraps them.
    pub(crate) fn rewrap(
        &self,
        tenant: TenantId,
        live: &Live,
        ring: &RingKeys,
        rng: &dyn Rng,
    ) -> Option<Live> {
        let versions = live.versions.iter().map(|version| {
            let key = self.key(version.number)?;
            Some(Version { sealed: seal(tenant, version.number, key, ring, rng), ..*version })
        });
        let versions = versions.collect::<Option<_>>()?;
        let index_secret = seal_index(tenant, &self.index_secret, ring, rng);
        Some(Live { index_secret, versions, ..live.clone() })
    }
}

/// First keys of a tenant.
pub(crate) fn make(tenant: TenantId, at: TimestampMs, ring: &RingKeys, rng: &dyn Rng) -> Live {
    let mut index_secret = Zeroizing::new([0; INDEX_SECRET_BYTES]);
    rng.fill(&mut index_secret[..]);
    Live {
        index_secret: seal_index(tenant, &index_secret, ring, rng),
        progress: Progress::Settled,
        table: TablePresence::Absent,
        versions: vec![make_version(tenant, 1, at, ring, rng)],
    }
}

pub(crate) fn make_version(
    tenant: TenantId,
    number: u32,
    made_at: TimestampMs,
    ring: &RingKeys,
    rng: &dyn Rng,
) -> Version {
    let sealed = seal(tenant, number, &Secret::random(rng), ring, rng);
    Version { number, made_at, sealed }
}

/// A version of one ring in the terms of another.
pub(crate) fn carry(
    tenant: TenantId,
    version: &Version,
    key: &Secret,
    ring: &RingKeys,
    rng: &dyn Rng,
) -> Version {
    Version { sealed: seal(tenant, version.number, key, ring, rng), ..*version }
}

fn seal(
    tenant: TenantId,
    version: u32,
    key: &Secret,
    ring: &RingKeys,
    rng: &dyn Rng,
) -> [u8; SEALED_KEY_BYTES] {
    cipher::seal(&ring.wrap, Purpose::TenantKey { tenant, version }, key.bytes(), rng)
}

fn seal_index(
    tenant: TenantId,
    secret: &[u8; INDEX_SECRET_BYTES],
    ring: &RingKeys,
    rng: &dyn Rng,
) -> [u8; SEALED_INDEX_BYTES] {
    cipher::seal(&ring.wrap, Purpose::IndexSecret { tenant }, secret, rng)
}
