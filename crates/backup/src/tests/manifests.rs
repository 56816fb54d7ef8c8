//! Nothing that is not as it was written is believed.

use super::key;
use crate::manifest::{Extent, FORMAT, File, Kind, Manifest, Stream};
use crate::seal::{BackupKey, CHUNK_BYTES, Opening, Sealing};
use crate::{BackupError, manifest};
use proptest::prelude::*;

pub fn sample() -> Manifest {
    let id = "20261121T151700123Z-0123abcd";
    let name = |rest: &str| format!("{id}.{rest}");
    let file = |rest: &str| File { name: name(rest), bytes: 5, sha256: "00".repeat(32) };
    Manifest {
        format: FORMAT,
        id: id.into(),
        kind: Kind::Full,
        parent: None,
        key: key().fingerprint().into(),
        instance: "aa".into(),
        version: "1".into(),
        started_ms: 1,
        cut_ms: 2,
        finished_ms: 3,
        streams: vec![Stream { topic: 7, partition: 1, start: 0, stored: 9, floor: 9 }],
        extents: vec![Extent {
            extent: 1,
            generation: 2,
            salt: u64::MAX,
            data_end: 8192,
            file_bytes: 9000,
            parts: vec![name("part")],
        }],
        heads: name("heads"),
        metadata: name("metadata"),
        records: Default::default(),
        files: vec![file("part"), file("heads"), file("metadata")],
    }
}

fn refused(decoded: Result<Manifest, BackupError>) -> String {
    match decoded {
        Err(BackupError::Refused { what, .. }) => what,
        other => panic!("taken: {other:?}"),
    }
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let (manifest, name) = (sample(), sample().file_name());
    let bytes = manifest.encode(&key()).expect("written");
    assert_eq!(Manifest::decode(&name, &bytes, &key()).expect("read"), manifest);
    let stranger = BackupKey::new(&[8; 32]);
    assert!(refused(Manifest::decode(&name, &bytes, &stranger)).contains("another installation"));
    let renamed = "20261121T151700123Z-0123abce.manifest.json";
    refused(Manifest::decode(renamed, &bytes, &key()));
    for cut in 0..bytes.len() {
        refused(Manifest::decode(&name, &bytes[..cut], &key()));
    }
    let mut lacking = manifest.clone();
    lacking.files.pop();
    refused(Manifest::decode(&name, &lacking.encode(&key()).expect("written"), &key()));
    let mut outside = manifest;
    outside.files[0].name = "../secret".into();
    outside.extents[0].parts = vec!["../secret".into()];
    refused(Manifest::decode(&name, &outside.encode(&key()).expect("written"), &key()));
}

#[test]
fn every_flipped_bit_of_a_manifest_is_noticed() {
    let name = sample().file_name();
    let bytes = sample().encode(&key()).expect("written");
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            // Digits of the code may be written in either case; everything else counts.
            if !flipped.eq_ignore_ascii_case(&bytes) {
                assert!(Manifest::decode(&name, &flipped, &key()).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn names_are_names_only() {
    for good in ["a", "20261121T151700123Z-0123abcd.00000001-2-4096.part"] {
        assert!(manifest::is_name(good), "{good}");
    }
    for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\0", &"x".repeat(201)] {
        assert!(!manifest::is_name(bad), "{bad}");
    }
}

fn sealed(plain: &[u8], pieces: usize) -> Vec<u8> {
    let mut sealing = Sealing::new(&key(), "backup", "file");
    let mut out = Vec::new();
    for piece in plain.chunks(pieces.max(1)) {
        out.extend(sealing.push(piece));
    }
    out.extend(sealing.finish());
    out
}

fn opened(
    sealed: &[u8],
    pieces: usize,
    key: &BackupKey,
    name: &str,
) -> Result<Vec<u8>, BackupError> {
    let mut opening = Opening::new(key, "backup", name);
    let mut out = Vec::new();
    for piece in sealed.chunks(pieces.max(1)) {
        out.extend(opening.push(piece)?);
    }
    out.extend(opening.finish()?);
    Ok(out)
}

#[test]
fn sealed_files_open_whole_or_not_at_all() {
    for len in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES] {
        let plain: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let file = sealed(&plain, 100_000);
        assert_eq!(opened(&file, 7_777, &key(), "file").expect("opens"), plain);
        assert!(opened(&file, 7_777, &key(), "other").is_err());
        assert!(opened(&file, 7_777, &BackupKey::new(&[1; 32]), "file").is_err());
        assert!(opened(&file[..file.len() - 1], 7_777, &key(), "file").is_err());
        let chunk = CHUNK_BYTES + 16;
        if file.len() > 8 + chunk {
            // Cut between two chunks, and with chunks exchanged or repeated.
            assert!(opened(&file[..8 + chunk], 9_999, &key(), "file").is_err());
            let repeated = [&file[..8 + chunk], &file[8..]].concat();
            assert!(opened(&repeated, 9_999, &key(), "file").is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_of_a_sealed_file_is_noticed(
        plain in prop::collection::vec(any::<u8>(), 0..200),
        at: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let mut file = sealed(&plain, 50);
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        prop_assert!(opened(&file, 30, &key(), "file").is_err());
    }
}
