//! Backups in an S3-compatible store: a small one on loopback that speaks as much of the protocol
//! as the client uses, path-style, with parts, ranges and lists.

use super::{Bed, blocking, key};
use crate::restore::Point;
use crate::target::{Object, S3, Target};
use crate::{BackupError, Progress, Repository, Wanted, create};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    /// By upload, by number.
    parts: HashMap<String, BTreeMap<u32, Vec<u8>>>,
    parts_seen: usize,
    /// Refuses everything, as a store without room would.
    is_failing: bool,
}

type Shared = Arc<Mutex<Bucket>>;

async fn bucket(
    State(bucket): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    body: String,
) -> Response {
    if query.contains_key("delete") {
        let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        let delete = |key: &str| {
            bucket.lock().objects.remove(key);
            format!("<Deleted><Key>{key}</Key></Deleted>")
        };
        let deleted: String = keys.map(delete).collect();
        return format!("<DeleteResult>{deleted}</DeleteResult>").into_response();
    }
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let entry = |(key, bytes): (&String, &Vec<u8>)| {
        let size = bytes.len();
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-21T00:00:00.000Z</LastModified>\
             <ETag>\"e\"</ETag><Size>{size}</Size></Contents>"
        )
    };
    let bucket = bucket.lock();
    let found: String =
        bucket.objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(entry).collect();
    let text = format!(
        "<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    );
    text.into_response()
}

async fn object(
    State(bucket): State<Shared>,
    method: Method,
    Path((_, name)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut bucket = bucket.lock();
    if bucket.is_failing && method != Method::GET {
        return (StatusCode::BAD_REQUEST, "<Error><Code>NoSpace</Code></Error>").into_response();
    }
    let tag = [("etag", "\"e\"")];
    let upload = query.get("uploadId").cloned();
    match (method.as_str(), upload) {
        ("POST", None) => {
            let id = format!("upload-{}", bucket.parts.len());
            bucket.parts.insert(id.clone(), BTreeMap::new());
            let head = "<InitiateMultipartUploadResult><Bucket>b</Bucket>";
            let rest = "</UploadId></InitiateMultipartUploadResult>";
            format!("{head}<Key>{name}</Key><UploadId>{id}{rest}").into_response()
        }
        ("PUT", Some(id)) => {
            let number = query["partNumber"].parse().expect("a number");
            bucket.parts_seen += 1;
            bucket.parts.get_mut(&id).expect("begun").insert(number, body.to_vec());
            tag.into_response()
        }
        ("POST", Some(id)) => {
            let parts = bucket.parts.remove(&id).expect("begun");
            bucket.objects.insert(name, parts.into_values().flatten().collect());
            "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
                .into_response()
        }
        ("DELETE", Some(id)) => {
            bucket.parts.remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        ("PUT", None) => {
            bucket.objects.insert(name, body.to_vec());
            tag.into_response()
        }
        ("DELETE", None) => {
            bucket.objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => read(&bucket, &name, &headers),
    }
}

fn read(bucket: &Bucket, name: &str, headers: &HeaderMap) -> Response {
    let Some(bytes) = bucket.objects.get(name) else {
        let text = "<Error><Code>NoSuchKey</Code></Error>";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let common = [("etag", "\"e\""), ("last-modified", "Sat, 21 Nov 2026 00:00:00 GMT")];
    let range = headers.get("range").and_then(|range| range.to_str().ok());
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((from, to)) = range else { return (common, bytes.clone()).into_response() };
    let from: usize = from.parse().expect("a number");
    let to = to.parse().unwrap_or(bytes.len()).min(bytes.len() - 1);
    let place = [("content-range", format!("bytes {from}-{to}/{}", bytes.len()))];
    let piece = bytes[from..=to].to_vec();
    (StatusCode::PARTIAL_CONTENT, common, place, piece).into_response()
}

async fn serve() -> (String, Shared) {
    let shared = Shared::default();
    let routes = Router::new()
        .route("/{bucket}", axum::routing::any(bucket))
        .route("/{bucket}/{*name}", axum::routing::any(object))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (endpoint, shared)
}

fn target(endpoint: &str) -> Arc<dyn Target> {
    let s3 = S3 {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".into()),
        access_key_id: Some("id".into()),
        secret_access_key: Some("secret".to_owned().into()),
    };
    let runtime = tokio::runtime::Handle::current();
    Arc::new(Object::open("s3://bucket/some/prefix", &s3, runtime).expect("usable"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_holds_backups_as_a_directory_does() {
    let (endpoint, shared) = serve().await;
    let bed = Bed::new().await;
    bed.fill("first").await;
    let source = bed.source();
    let target = target(&endpoint);
    let (made, verified, listed) = blocking({
        let target = Arc::clone(&target);
        move || {
            let repository = Repository { target, key: key() };
            let progress = Progress::new(None);
            let made = create(&source, &repository, Wanted::Incremental, &progress).expect("made");
            let again = create(&source, &repository, Wanted::Incremental, &progress);
            assert!(again.expect("made").parent.is_some());
            let verified = repository.verify(&made, &mut |_| Ok(())).expect("whole");
            (made, verified, repository.list().expect("listed").len())
        }
    })
    .await;
    assert_eq!(listed, 2);
    assert_eq!(verified.files as usize, made.files.len());
    assert!(shared.lock().objects.keys().all(|name| name.starts_with("some/prefix/2026")));
    // What the store holds goes into a directory, from which it is restored as any other.
    std::fs::create_dir_all(&bed.place).expect("made");
    for (name, bytes) in &shared.lock().objects {
        let name = name.rsplit('/').next().expect("a name");
        std::fs::write(std::path::Path::new(&bed.place).join(name), bytes).expect("written");
    }
    let restored = bed.restore("restored", Point::End).await.expect("restored");
    assert_eq!(restored.contents(&bed).await, bed.contents().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_go_in_parts_and_unfinished_ones_never_were() {
    let (endpoint, shared) = serve().await;
    let target = target(&endpoint);
    blocking(move || {
        let bytes: Vec<u8> = (0..20 << 20).map(|at: u32| (at % 249) as u8).collect();
        let mut whole = target.begin("whole").expect("begun");
        bytes.chunks(300_000).for_each(|piece| whole.write(piece).expect("written"));
        whole.finish().expect("finished");
        assert_eq!(
            target.read("whole", 9_000_001, 777).expect("read"),
            bytes[9_000_001..9_000_778]
        );
        assert_eq!(target.read("whole", bytes.len() as u64, 5).expect("read"), Vec::<u8>::new());
        let mut half = target.begin("half").expect("begun");
        half.write(&bytes).expect("written");
        drop(half);
        assert_eq!(target.list().expect("listed"), ["whole"]);
        assert!(matches!(target.read("half", 0, 5), Err(BackupError::Missing(_))));
        target.remove("whole").expect("removed");
        target.remove("whole").expect("nothing to remove");
    })
    .await;
    assert!(shared.lock().parts_seen >= 4);
    assert!(shared.lock().parts.is_empty(), "an unfinished upload was left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_fails_the_backup_and_nothing_else() {
    let (endpoint, shared) = serve().await;
    let bed = Bed::new().await;
    bed.append(0, 0, &["one"]).await;
    shared.lock().is_failing = true;
    let (source, target) = (bed.source(), target(&endpoint));
    let failed = blocking(move || {
        let repository = Repository { target, key: key() };
        create(&source, &repository, Wanted::Full, &Progress::new(None))
    })
    .await;
    assert!(failed.is_err());
    bed.append(0, 0, &["two"]).await;
    assert!(shared.lock().objects.is_empty());
}
