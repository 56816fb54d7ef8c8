//! The seeds in `corpus/`: what `good-*` holds is a request, what `bad-*` holds is refused.

use crate::codec::{BinaryCodec, JsonCodec};
use crate::frame::Frame;
use bytes::BytesMut;
use port::Codec;
use std::fs;
use std::path::Path;

#[test]
fn seeds_are_what_their_names_say() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut count = 0;
    for entry in fs::read_dir(corpus).expect("the corpus is there") {
        let path = entry.expect("the corpus can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut bytes = BytesMut::from(&*fs::read(&path).expect("a seed can be read"));
        let frame = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => JsonCodec::new(1 << 20).decode(&mut bytes),
            Some("bin") => BinaryCodec::new(1 << 20).decode(&mut bytes),
            _ => continue,
        };
        let is_request = matches!(frame, Ok(Some(Frame::Call(_))));
        assert_eq!(is_request, name.starts_with("good-"), "{name}: {frame:?}");
        count += 1;
    }
    assert!(count >= 20, "only {count} seeds");
}
