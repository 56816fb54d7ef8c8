//! The files of encryption at rest as somebody with the disk may have changed them: the key ring
//! and the table of rewrapped keys. What decodes encodes to the same bytes.

use keys::{RewrappedTable, Ring};

const ITERATIONS: usize = 5_000;
const MAC_BYTES: usize = 32;

/// Any bytes alone would hardly ever get past the name in front.
fn with_name(name: &[u8; 8], bytes: &[u8]) -> Vec<u8> {
    let mut whole = name.to_vec();
    whole.extend_from_slice(&1u16.to_le_bytes());
    whole.extend_from_slice(bytes);
    whole
}

#[test]
fn rings_of_any_bytes() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<u8>>().for_each(|bytes| {
        let whole = with_name(b"MSKEYRNG", bytes);
        if let Ok(ring) = Ring::decode(&whole) {
            assert_eq!(ring.body(), whole[..whole.len() - MAC_BYTES]);
        }
        let _ = Ring::decode(bytes);
    });
}

#[test]
fn tables_of_any_bytes() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<u8>>().for_each(|bytes| {
        let whole = with_name(b"MSREWRAP", bytes);
        if let Ok(table) = RewrappedTable::decode(&whole) {
            assert_eq!(table.body(), whole[..whole.len() - MAC_BYTES]);
        }
        let _ = RewrappedTable::decode(bytes);
    });
}

/// A ring without tenants whose fields are drawn, so that depths are reached that chance does not.
#[test]
fn rings_of_drawn_fields() {
    type Fields = (u64, u8, [u8; 16], Vec<u8>, Vec<([u8; 16], bool, u8, Vec<u8>)>);
    bolero::check!().with_iterations(ITERATIONS).with_type::<Fields>().for_each(
        |(sequence, kind, id, wrapped, tenants)| {
            let mut bytes = sequence.to_le_bytes().to_vec();
            bytes.push(kind % 6);
            bytes.extend_from_slice(id);
            bytes.extend_from_slice(&(wrapped.len() as u16).to_le_bytes());
            bytes.extend_from_slice(wrapped);
            bytes.extend_from_slice(&(tenants.len() as u32).to_le_bytes());
            for (tenant, is_shredded, flags, rest) in tenants {
                bytes.extend_from_slice(tenant);
                bytes.push(1 + u8::from(*is_shredded));
                let mut fields = if *is_shredded { vec![0; 8] } else { vec![0; 44 + 4 + 72] };
                if let (false, Some(slot)) = (*is_shredded, fields.get_mut(44..48)) {
                    slot.copy_from_slice(&[flags & 1, flags >> 1 & 1, flags >> 2, 0]);
                }
                for (field, byte) in fields.iter_mut().skip(48).zip(rest) {
                    *field = *byte;
                }
                bytes.extend_from_slice(&fields);
            }
            bytes.extend_from_slice(&[0; MAC_BYTES]);
            let whole = with_name(b"MSKEYRNG", &bytes);
            if let Ok(ring) = Ring::decode(&whole) {
                assert_eq!(ring.body(), whole[..whole.len() - MAC_BYTES]);
            }
        },
    );
}
