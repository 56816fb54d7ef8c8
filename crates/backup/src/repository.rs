//! All backups in one place: which there are, whether each is whole, and which are given up. A
//! backup's files begin with its id; an incremental one also names files of those before it.

use crate::BackupError;
use crate::manifest::{File, MANIFEST_BYTES_MAX, Manifest, SUFFIX};
use crate::seal::{BackupKey, Opening, hexadecimal};
use crate::target::{PIECE_BYTES, Target};
use aws_lc_rs::digest;
use std::collections::BTreeSet;
use std::sync::Arc;
use tenancy::Tenancy;

/// The backups of one installation in one place.
pub struct Repository {
    pub target: Arc<dyn Target>,
    pub key: BackupKey,
}

/// One backup in a list: its manifest, or why it cannot be used.
pub struct Listed {
    pub id: String,
    pub manifest: Result<Manifest, BackupError>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    pub files: u64,
    pub bytes: u64,
}

impl Repository {
    /// Oldest first.
    pub fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let names = self.target.list()?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
        Ok(ids.map(|id| Listed { id: id.to_owned(), manifest: self.manifest(id) }).collect())
    }

    /// Whether or not it can be used.
    pub fn newest_id(&self) -> Result<Option<String>, BackupError> {
        let names = self.target.list()?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
        Ok(ids.filter(|id| is_id(id)).max().map(str::to_owned))
    }

    pub fn manifest(&self, id: &str) -> Result<Manifest, BackupError> {
        let name = format!("{id}{SUFFIX}");
        let mut bytes = Vec::new();
        loop {
            let piece = self.target.read(&name, bytes.len() as u64, PIECE_BYTES)?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > MANIFEST_BYTES_MAX {
                let what = format!("{name} is larger than a manifest can be");
                return Err(BackupError::refused(what, "use another backup"));
            }
        }
        Manifest::decode(&name, &bytes, &self.key)
    }

    /// Reads every file that the backup needs and compares it with what the manifest says.
    pub fn verify(
        &self,
        manifest: &Manifest,
        each: &mut dyn FnMut(&File) -> Result<(), BackupError>,
    ) -> Result<Verified, BackupError> {
        let mut verified = Verified::default();
        for file in &manifest.files {
            each(file)?;
            self.read_file(file, &mut |_| Ok(()))?;
            verified.files += 1;
            verified.bytes += file.bytes;
        }
        self.read_metadata(manifest, |source| Ok(Tenancy::check_dump(source)?))?;
        Ok(verified)
    }

    /// Hands the file on piece by piece; an error when it is not the one that was written, which
    /// shows at its end.
    pub fn read_file(
        &self,
        file: &File,
        each: &mut dyn FnMut(&[u8]) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let missing = |error| match error {
            BackupError::Missing(place) => BackupError::refused(
                format!("{place} is missing"),
                "put it back, or use a backup that does not need it",
            ),
            error => error,
        };
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut at = 0;
        while at < file.bytes {
            let wanted = PIECE_BYTES.min((file.bytes - at) as usize);
            let piece = self.target.read(&file.name, at, wanted).map_err(missing)?;
            if piece.is_empty() {
                let what = format!(
                    "{} has {at} bytes of {}: it is cut short",
                    self.place(file),
                    file.bytes
                );
                return Err(BackupError::refused(what, "use another backup"));
            }
            at += piece.len() as u64;
            digest.update(&piece);
            each(&piece)?;
        }
        let is_longer = !self.target.read(&file.name, at, 1).map_err(missing)?.is_empty();
        if is_longer || hexadecimal(digest.finish().as_ref()) != file.sha256 {
            let what = format!("{} was changed after it was written", self.place(file));
            return Err(BackupError::refused(what, "use another backup"));
        }
        Ok(())
    }

    fn place(&self, file: &File) -> String {
        format!("{}/{}", self.target.describe(), file.name)
    }

    /// Opens the sealed dump for a reader of dumps.
    pub fn read_metadata<T>(
        &self,
        manifest: &Manifest,
        read: impl FnOnce(&mut tenancy::DumpSource<'_>) -> Result<T, BackupError>,
    ) -> Result<T, BackupError> {
        let mut opening = Some(Opening::new(&self.key, &manifest.id, &manifest.metadata));
        let (mut at, mut refused) = (0, None);
        let outcome = read(&mut || {
            let mut next = || {
                while let Some(open) = opening.as_mut() {
                    let sealed = self.target.read(&manifest.metadata, at, PIECE_BYTES)?;
                    at += sealed.len() as u64;
                    let plain = match sealed.is_empty() {
                        false => open.push(&sealed)?,
                        true => {
                            opening.take().map(Opening::finish).transpose()?.unwrap_or_default()
                        }
                    };
                    if !plain.is_empty() {
                        return Ok(Some(plain));
                    }
                }
                Ok(None)
            };
            next().map_err(|error: BackupError| {
                let text = error.to_string();
                refused = Some(error);
                std::io::Error::other(text)
            })
        });
        match refused {
            Some(error) => Err(error),
            None => outcome,
        }
    }

    /// Gives one backup up. Refused while a later one needs it.
    pub fn remove(&self, id: &str) -> Result<(), BackupError> {
        let dependants: Vec<String> = self
            .usable()?
            .into_iter()
            .filter(|manifest| manifest.id != id && needs(manifest).contains(id))
            .map(|manifest| manifest.id)
            .collect();
        if !dependants.is_empty() {
            let what = format!("backup {id} is needed by {}", dependants.join(", "));
            return Err(BackupError::refused(what, "remove those first"));
        }
        self.manifest(id)?;
        self.remove_files(id)
    }

    /// Keeps the newest `keep` backups with all that they need; answers what was given up.
    pub fn prune(&self, keep: usize) -> Result<Vec<String>, BackupError> {
        let mut manifests = self.usable()?;
        manifests.sort_unstable_by(|left, right| right.id.cmp(&left.id));
        let mut kept = BTreeSet::new();
        for manifest in manifests.iter().take(keep.max(1)) {
            kept.insert(manifest.id.clone());
            kept.extend(needs(manifest));
        }
        let mut gone = Vec::new();
        // Newest first: at no moment is a backup there whose files are not.
        for manifest in manifests.iter().filter(|manifest| !kept.contains(&manifest.id)) {
            self.remove_files(&manifest.id)?;
            gone.push(manifest.id.clone());
        }
        Ok(gone)
    }

    /// Backups that can be used; what is not ours or not whole is nobody's to remove.
    pub fn usable(&self) -> Result<Vec<Manifest>, BackupError> {
        let listed = self.list()?;
        Ok(listed.into_iter().filter_map(|listed| listed.manifest.ok()).collect())
    }

    /// The manifest first: without it the rest is no backup.
    fn remove_files(&self, id: &str) -> Result<(), BackupError> {
        self.target.remove(&format!("{id}{SUFFIX}"))?;
        let names = self.target.list()?;
        let own = names.iter().filter(|name| belongs(name, id));
        own.into_iter().try_for_each(|name| self.target.remove(name))
    }

    /// Removes what backups left that never came to their manifest, and that `is_abandoned`.
    pub fn sweep(&self, is_abandoned: impl Fn(&str) -> bool) -> Result<usize, BackupError> {
        let names = self.target.list()?;
        let whole: BTreeSet<&str> =
            names.iter().filter_map(|name| name.strip_suffix(SUFFIX)).collect();
        let mut count = 0;
        for name in &names {
            let Some((id, _)) = name.split_once('.').filter(|(id, _)| is_id(id)) else { continue };
            if !whole.contains(id) && is_abandoned(id) {
                self.target.remove(name)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

fn belongs(name: &str, id: &str) -> bool {
    name.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'))
}

/// `20261121T151700123Z-0123abcd`
pub fn is_id(text: &str) -> bool {
    text.len() == 28 && text.as_bytes()[8] == b'T' && text.as_bytes()[18] == b'Z'
}

/// The other backups whose files or whose place in the chain this one needs.
fn needs(manifest: &Manifest) -> BTreeSet<String> {
    let ids = manifest.files.iter().filter_map(|file| file.name.split_once('.'));
    let ids = ids.map(|(id, _)| id.to_owned()).chain(manifest.parent.clone());
    ids.filter(|id| *id != manifest.id).collect()
}
