//! Backups in an S3-compatible store. Small files are put at once, larger ones in parts; either way
//! a file is there when the store says so, and a part that was never completed is no file.

use super::{Claim, FILES_MAX, PIECE_BYTES, Target, Writing};
use crate::BackupError;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Bytes of one part; S3 takes up to 10,000 of them, which is more than an extent has.
const PART_BYTES: usize = 8 * PIECE_BYTES;

/// How to reach an S3-compatible store. What is absent comes from the environment, under the names
/// that Amazon's own tools use (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT` ...).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// `https://host:port`, for stores other than Amazon's. An `http://` one is for tests and for
    /// networks that are trusted: the log's records are sealed, their number and size are not.
    pub endpoint: Option<String>,
    /// The bucket's region, `us-east-1` for instance.
    pub region: Option<String>,
    /// Who signs the requests; the environment's `AWS_ACCESS_KEY_ID` when absent.
    pub access_key_id: Option<String>,
    /// Hidden in printed configurations; better given as `AWS_SECRET_ACCESS_KEY`.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub secret_access_key: Option<SecretString>,
}

pub struct Object {
    store: Arc<AmazonS3>,
    url: String,
    prefix: String,
    runtime: Handle,
}

impl Object {
    pub fn open(url: &str, s3: &S3, runtime: Handle) -> Result<Object, BackupError> {
        let mut builder = AmazonS3Builder::from_env().with_url(url);
        if let Some(endpoint) = &s3.endpoint {
            let is_plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
        }
        if let Some(region) = &s3.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &s3.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &s3.secret_access_key {
            builder = builder.with_secret_access_key(secret.expose_secret());
        }
        let store = builder.build().map_err(|error| {
            let advice = "set `backup.s3` in the configuration or AWS_* in the environment";
            BackupError::refused(format!("{url} cannot be used: {error}"), advice)
        })?;
        let bucket_and_prefix = url.trim_start_matches("s3://");
        let prefix = bucket_and_prefix.split_once('/').map_or("", |(_, prefix)| prefix);
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Object { store: Arc::new(store), url: url.to_owned(), prefix, runtime })
    }

    fn path(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

fn failed(place: String) -> impl FnOnce(Error) -> BackupError {
    move |error| match error {
        Error::NotFound { .. } => BackupError::Missing(place),
        error => BackupError::Io { place, message: error.to_string() },
    }
}

impl Target for Object {
    fn describe(&self) -> String {
        self.url.clone()
    }

    fn begin(&self, name: &str) -> Result<Box<dyn Writing>, BackupError> {
        Ok(Box::new(Upload {
            store: Arc::clone(&self.store),
            runtime: self.runtime.clone(),
            path: self.path(name),
            place: self.place(name),
            waiting: Vec::new(),
            parts: None,
        }))
    }

    fn read(&self, name: &str, at: u64, bytes_max: usize) -> Result<Vec<u8>, BackupError> {
        let (path, place) = (self.path(name), self.place(name));
        let read = async {
            let size = self.store.head(&path).await?.size;
            let end = size.min(at.saturating_add(bytes_max as u64));
            if at >= end {
                return Ok(Bytes::new());
            }
            self.store.get_range(&path, at..end).await
        };
        self.runtime.block_on(read).map(|bytes| bytes.to_vec()).map_err(failed(place))
    }

    fn list(&self) -> Result<Vec<String>, BackupError> {
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let listing = async {
            let mut names = Vec::new();
            let mut objects = self.store.list(prefix.as_ref());
            while let Some(object) = objects.try_next().await? {
                names.extend(object.location.filename().map(str::to_owned));
                if names.len() > FILES_MAX {
                    break;
                }
            }
            Ok(names)
        };
        let mut names = self.runtime.block_on(listing).map_err(failed(self.url.clone()))?;
        if names.len() > FILES_MAX {
            let what = format!("{} holds more than {FILES_MAX} files", self.url);
            return Err(BackupError::refused(what, "use a prefix of its own for backups"));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), BackupError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(self.place(name))(error)),
        }
    }

    fn claim(&self) -> Result<Claim, BackupError> {
        Ok(Claim::Shared)
    }
}

struct Upload {
    store: Arc<AmazonS3>,
    runtime: Handle,
    path: Path,
    place: String,
    waiting: Vec<u8>,
    /// Begun with the first full part.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    fn put_part(&mut self, part: Vec<u8>) -> Result<(), BackupError> {
        let failed = || failed(self.place.clone());
        if self.parts.is_none() {
            let begun = self.runtime.block_on(self.store.put_multipart(&self.path));
            self.parts = Some(begun.map_err(failed())?);
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        self.runtime.block_on(parts.put_part(PutPayload::from(part))).map_err(failed())
    }
}

impl Writing for Upload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() > PART_BYTES {
            let rest = self.waiting.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.put_part(part)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), BackupError> {
        let rest = std::mem::take(&mut self.waiting);
        if self.parts.is_none() {
            let put = self.runtime.block_on(self.store.put(&self.path, PutPayload::from(rest)));
            return put.map(|_| ()).map_err(failed(self.place.clone()));
        }
        if !rest.is_empty() {
            self.put_part(rest)?;
        }
        if let Some(parts) = &mut self.parts {
            let completed = self.runtime.block_on(parts.complete());
            completed.map_err(failed(self.place.clone()))?;
        }
        self.parts = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take()
            && let Err(error) = self.runtime.block_on(parts.abort())
        {
            tracing::warn!(place = self.place, %error, "an unfinished upload was not taken back");
        }
    }
}
