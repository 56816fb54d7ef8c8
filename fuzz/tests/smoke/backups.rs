//! What a restore reads: manifests, sealed files and dumps of the metadata, of any bytes.

use backup::manifest::Manifest;
use backup::seal::{BackupKey, Opening, Sealing};
use tenancy::Tenancy;

const ITERATIONS: usize = 3_000;

fn key() -> BackupKey {
    BackupKey::new(&[5; 32])
}

#[test]
fn manifests_of_any_bytes() {
    let key = key();
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<u8>>().for_each(|bytes| {
        let name = "20261121T151700Z-0123abcd.manifest.json";
        assert!(Manifest::decode(name, bytes, &key).is_err());
        // Signed by the right key, and still no manifest.
        let text = String::from_utf8_lossy(bytes);
        let body = format!(
            r#"{{"format":1,"key":"{}","id":{:?}}}"#,
            key.fingerprint(),
            text.escape_default().to_string()
        );
        let signed = format!(r#"{{"manifest":{body},"mac":"{}"}}"#, key.sign(body.as_bytes()));
        assert!(Manifest::decode(name, signed.as_bytes(), &key).is_err());
    });
}

#[test]
fn sealed_files_of_any_bytes() {
    let key = key();
    bolero::check!().with_iterations(ITERATIONS).with_type::<(Vec<u8>, u8)>().for_each(
        |(bytes, size)| {
            let pieces = usize::from(*size).max(1);
            let mut garbage = Opening::new(&key, "backup", "file");
            let opened: Result<Vec<_>, _> =
                bytes.chunks(pieces).map(|piece| garbage.push(piece)).collect();
            assert!(opened.is_err() || garbage.finish().is_err());
            let mut sealing = Sealing::new(&key, "backup", "file");
            let mut sealed: Vec<u8> =
                bytes.chunks(pieces).flat_map(|piece| sealing.push(piece)).collect();
            sealed.extend(sealing.finish());
            let mut opening = Opening::new(&key, "backup", "file");
            let mut plain = Vec::new();
            for piece in sealed.chunks(pieces) {
                plain.extend(opening.push(piece).expect("as sealed"));
            }
            plain.extend(opening.finish().expect("as sealed"));
            assert_eq!(&plain, bytes);
        },
    );
}

#[test]
fn dumps_of_any_lines() {
    type Input = (Vec<u8>, Vec<(bool, i64, String)>);
    bolero::check!().with_iterations(ITERATIONS).with_type::<Input>().for_each(|(bytes, rows)| {
        let mut pieces = bytes.chunks(7);
        let read = Tenancy::check_dump(&mut || Ok(pieces.next().map(<[u8]>::to_vec)));
        assert!(read.is_err());
        let mut text = String::from("{\"format\":1,\"migrations\":[\"m0001_records\"]}\n");
        text += "{\"table\":\"t\",\"columns\":[[\"a\",\"boolean\"],[\"b\",\"integer\"]]}\n";
        for (flag, number, other) in rows {
            text += &match number % 3 {
                0 => format!("[{flag},{number}]\n"),
                1 => format!("[null,{number}]\n"),
                _ => format!("[{flag},{:?}]\n", other.escape_default().to_string()),
            };
        }
        let is_good = rows.iter().all(|(_, number, _)| matches!(number % 3, 0 | 1));
        text += &format!("{{\"tables\":1,\"rows\":{}}}\n", rows.len());
        let mut whole = Some(text.into_bytes());
        let read = Tenancy::check_dump(&mut || Ok(whole.take()));
        assert_eq!(read.is_ok(), is_good, "{read:?}");
    });
}
