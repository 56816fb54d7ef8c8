//! What Kafka clients send: no byte makes a message's reader panic or take more memory than it was
//! given bytes for, what was read is written as something that reads the same, and records are
//! decompressed within their bound or not at all.

use bytes::{Bytes, BytesMut};
use kafka::codec::{Frame, FrameLimit, KafkaCodec};
use kafka::messages::Api;
use kafka::scram::ClientFirst;
use kafka::wire::{Form, Input};
use kafka_client::batches;
use port::challenges::Digest;
use port::{Challenge, Codec};

const FRAME_BYTES_MAX: usize = 4_096;

#[test]
fn kafka_messages() {
    bolero::check!().with_type::<(u8, i16, bool, Vec<u8>)>().for_each(
        |(index, version, is_answer, bytes)| {
            let api = Api::ALL[usize::from(*index) % Api::ALL.len()];
            let (first, last) = (*api.versions().start(), *api.versions().end());
            let version = first + version.rem_euclid(last - first + 1);
            let form = Form { version, is_flexible: api.is_flexible(version) };
            let read = |bytes: Bytes| {
                let mut input = Input::new(bytes);
                match is_answer {
                    true => api.answer_again(&mut input, form),
                    false => api.request_again(&mut input, form),
                }
            };
            if let Ok(again) = read(Bytes::copy_from_slice(bytes)) {
                let twice = read(again.clone()).expect("what was written is read");
                assert_eq!(twice, again, "{} version {version}", api.name());
            }
        },
    );
}

#[test]
fn kafka_frames() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
        let mut codec = KafkaCodec::new(FrameLimit::new(FRAME_BYTES_MAX));
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(Frame::Request(frame))) = codec.decode(&mut input) {
            assert!(frame.len() <= FRAME_BYTES_MAX);
        }
    });
}

/// What a client says to sign in, from a stranger: its proof is read only behind a first message
/// that was right.
#[test]
fn kafka_scram() {
    bolero::check!().with_type::<(bool, Vec<u8>, Vec<u8>)>().for_each(|(is_right, first, last)| {
        let right: &[u8] = if *is_right { b"n,,n=u,r=a" } else { b"" };
        let Ok(first) = ClientFirst::read(&[right, first].concat()) else { return };
        let challenge = Challenge { salt: vec![1], iterations: 4_096, nonce: "b".to_owned() };
        let (asked, question) = first.ask(&challenge);
        let nonce = question.split(',').next().unwrap_or_default();
        let last = [format!("c=biws,{nonce}").as_bytes(), last].concat();
        let _ = asked.read(Digest::Sha256, &last);
    });
}

#[test]
fn kafka_records() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(codec, packed)| {
        let _ = kafka::records::batch(Bytes::copy_from_slice(packed));
        // The same bytes as the compressed records of a batch that is whole in all else.
        let _ = kafka::records::batch(packed_batch(codec % 5, packed));
    });
}

/// What a broker hands to our client: bytes that are no batches are none, under a right checksum
/// too.
#[test]
fn kafka_client_batches() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(codec, bytes)| {
        for batch in batches::split(Bytes::copy_from_slice(bytes)) {
            let _ = (batches::records(&batch), batches::is_abort(&batch));
        }
        let _ = batches::records(&packed_batch(codec % 5, bytes));
    });
}

/// A batch of one record under its checksum, compressed by what `codec` says.
fn packed_batch(codec: u8, packed: &[u8]) -> Bytes {
    let mut bytes = vec![0; 61];
    bytes[8..12].copy_from_slice(&(49 + packed.len() as i32).to_be_bytes());
    bytes[16] = 2;
    bytes[22] = codec;
    bytes[43..57].fill(0xFF);
    bytes[60] = 1;
    bytes.extend_from_slice(packed);
    let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}
