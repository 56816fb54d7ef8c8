//! There and back, and nothing larger than asked for.

use crate::{Broken, Packing, check_for_all, pack, unpack};
use proptest::prelude::*;

const ALL: [Packing; 4] = [Packing::Gzip, Packing::Snappy, Packing::Lz4, Packing::Zstd];

#[test]
fn a_bomb_is_not_unpacked() {
    let zeros = vec![0; 1 << 20];
    for packing in ALL {
        let packed = pack(packing, &zeros).expect("memory");
        assert_eq!(unpack(packing, &packed, zeros.len()), Ok(zeros.clone()));
        assert_eq!(unpack(packing, &packed, zeros.len() - 1), Err(Broken::TooLarge));
    }
}

/// What only some of Kafka's clients read.
#[test]
fn what_not_every_client_reads_is_refused() {
    let refused = |packing, packed: &[u8]| {
        let records = unpack(packing, packed, 1_000).unwrap_or_default();
        match check_for_all(packing, packed, &records) {
            Err(Broken::Unpack(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let frame = pack(Packing::Lz4, b"some records").expect("memory");
    assert!(refused(Packing::Lz4, &frame[..frame.len() - 4]).contains("no end"));
    let mut linked = frame.clone();
    linked[4] &= !(1 << 5);
    assert!(refused(Packing::Lz4, &linked).contains("the one before"));
    assert!(refused(Packing::Lz4, &[]).contains("no frame"));
    let mut two = pack(Packing::Gzip, b"some").expect("memory");
    two.extend(pack(Packing::Gzip, b"more").expect("memory"));
    assert!(refused(Packing::Gzip, &two).contains("more follows"));
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(records in prop::collection::vec(any::<u8>(), 0..5_000)) {
        for packing in ALL {
            let packed = pack(packing, &records).expect("memory");
            prop_assert_eq!(unpack(packing, &packed, 5_000), Ok(records.clone()));
            prop_assert_eq!(check_for_all(packing, &packed, &records), Ok(()));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(packed in prop::collection::vec(any::<u8>(), 0..500)) {
        for packing in ALL {
            let _ = check_for_all(packing, &packed, &[]);
            if let Ok(records) = unpack(packing, &packed, 10_000) {
                prop_assert!(records.len() <= 10_000);
            }
        }
    }
}
