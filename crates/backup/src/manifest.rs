//! What a backup consists of, as it says itself: where the log was cut, which files hold what, and
//! a code over all of it. A manifest is the last file written, so one that is there is complete.
//! Nothing here does IO, and nothing that a file holds can make it panic.
//!
//! ```text
//! {"manifest":{...},"mac":"<HMAC-SHA-256 over the bytes of the object before>"}
//! ```

use crate::BackupError;
use crate::seal::BackupKey;
use eventlog::StreamMark;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use storage::{ExtentCut, ExtentId, StreamId};
use tenancy::DumpSize;
use types::{Offset, Partition, TimestampMs, TopicId};

/// Version of the form of manifests and of what they name.
pub const FORMAT: u32 = 1;
/// How manifests end; what stands before is the backup's id.
pub const SUFFIX: &str = ".manifest.json";
/// A manifest is not longer: it is 200,000 partitions with 100,000 extents.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Needs no other backup.
    Full,
    /// Needs files of the backups before it.
    Incremental,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    /// Time and chance: sorts by age.
    pub id: String,
    pub kind: Kind,
    /// The backup before it, whose files it uses.
    pub parent: Option<String>,
    /// Which installation's key signs and seals.
    pub key: String,
    /// Which data directory: a restored one counts as another.
    pub instance: String,
    /// The version of Mainstem that made it.
    pub version: String,
    pub started_ms: TimestampMs,
    /// Everything acknowledged until then is in it.
    pub cut_ms: TimestampMs,
    pub finished_ms: TimestampMs,
    pub streams: Vec<Stream>,
    pub extents: Vec<Extent>,
    /// The first block of each extent, in their order.
    pub heads: String,
    /// The sealed dump of the metadata.
    pub metadata: String,
    pub records: DumpSize,
    /// Every file needed, those of earlier backups included.
    pub files: Vec<File>,
}

/// Where one partition was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub topic: u64,
    pub partition: Partition,
    pub start: Offset,
    pub stored: Offset,
    pub floor: Offset,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    pub extent: u32,
    pub generation: u64,
    pub salt: u64,
    pub data_end: u64,
    pub file_bytes: u64,
    /// Files that together are the bytes behind the first block, up to `data_end`.
    pub parts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Stream {
    pub fn of(mark: &StreamMark) -> Stream {
        let StreamMark { stream, start, stored, floor } = *mark;
        Stream { topic: stream.topic.0, partition: stream.partition, start, stored, floor }
    }

    pub fn mark(&self) -> StreamMark {
        let stream = StreamId { topic: TopicId(self.topic), partition: self.partition };
        StreamMark { stream, start: self.start, stored: self.stored, floor: self.floor }
    }
}

impl Extent {
    pub fn cut(&self) -> ExtentCut {
        ExtentCut {
            extent: ExtentId(self.extent),
            generation: self.generation,
            salt: self.salt,
            data_end: self.data_end,
            file_bytes: self.file_bytes,
        }
    }

    /// Whether it is the same use of the same file.
    pub fn is(&self, cut: &ExtentCut) -> bool {
        (self.extent, self.generation, self.salt) == (cut.extent.0, cut.generation, cut.salt)
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    manifest: &'a RawValue,
    mac: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    mac: &'a str,
}

/// What a manifest says before its code is checked.
#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    pub format: u32,
    pub key: String,
}

impl Manifest {
    pub fn file_name(&self) -> String {
        format!("{}{SUFFIX}", self.id)
    }

    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Bytes of files that this backup itself brought.
    pub fn own_bytes(&self) -> u64 {
        let own = self.files.iter().filter(|file| file.name.starts_with(&self.id));
        own.map(|file| file.bytes).sum()
    }

    pub fn encode(&self, key: &BackupKey) -> Result<Vec<u8>, BackupError> {
        let failed = |error: serde_json::Error| BackupError::Io {
            place: self.file_name(),
            message: error.to_string(),
        };
        let text = serde_json::to_string(self).map_err(failed)?;
        let mac = key.sign(text.as_bytes());
        let manifest = RawValue::from_string(text).map_err(failed)?;
        serde_json::to_vec(&Signed { manifest: &manifest, mac: &mac }).map_err(failed)
    }

    /// Reads a manifest found under `name`, and believes nothing of it before its code fits.
    pub fn decode(name: &str, bytes: &[u8], key: &BackupKey) -> Result<Manifest, BackupError> {
        let broken = || {
            BackupError::refused(
                format!("{name} is cut short or no manifest"),
                "use another backup; this one cannot be trusted",
            )
        };
        let found: Found<'_> = serde_json::from_slice(bytes).map_err(|_| broken())?;
        let text = found.manifest.get();
        let claims: Claims = serde_json::from_str(text).map_err(|_| broken())?;
        if claims.key != key.fingerprint() {
            return Err(BackupError::refused(
                format!("{name} was made by another installation (key {:.16})", claims.key),
                "give the secret.key of the installation that made it with --secret-key",
            ));
        }
        if !key.is_signed(text.as_bytes(), found.mac) {
            return Err(BackupError::refused(
                format!("{name} was changed after it was written"),
                "use another backup; this one cannot be trusted",
            ));
        }
        if claims.format != FORMAT {
            return Err(BackupError::refused(
                format!("{name} has form {}, this version knows {FORMAT}", claims.format),
                "use the version of Mainstem that made it, or a newer one",
            ));
        }
        let manifest: Manifest = serde_json::from_str(text).map_err(|_| broken())?;
        if manifest.file_name() != name || !manifest.is_consistent() {
            return Err(broken());
        }
        Ok(manifest)
    }

    /// Every file that is named is listed, and names are names.
    fn is_consistent(&self) -> bool {
        let parts = self.extents.iter().flat_map(|extent| &extent.parts);
        let named = parts.chain([&self.heads, &self.metadata]);
        let listed: std::collections::HashSet<&str> =
            self.files.iter().map(|file| file.name.as_str()).collect();
        named.into_iter().all(|name| listed.contains(name.as_str()))
            && self.files.iter().all(|file| is_name(&file.name))
    }
}

/// Whether it is the name of a file in a repository and nothing else.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain)
}
