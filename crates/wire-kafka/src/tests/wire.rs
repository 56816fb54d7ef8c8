//! Messages in every version, and bytes that are none.

use crate::messages::Api;
use crate::messages::api_versions::ApiVersionsRequest;
use crate::messages::fetch::{FetchRequest, FetchTopic};
use crate::messages::metadata::MetadataRequest;
use crate::wire::{Form, Input, Malformed, Output, Records, Wire, read_whole};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn form(api: Api, version: i16) -> Form {
    Form { version, is_flexible: api.is_flexible(version) }
}

/// The body of kcat's first request, as librdkafka 2.0.2 sends it.
const API_VERSIONS_3: &[u8] = b"\x0blibrdkafka\x062.0.2\x00";

#[test]
fn a_captured_request_is_read() {
    let form = form(Api::ApiVersions, 3);
    let request =
        read_whole::<ApiVersionsRequest>(&mut Input::new(Bytes::from_static(API_VERSIONS_3)), form);
    let request = request.expect("a request");
    assert_eq!(request.client_software_name, "librdkafka");
    assert_eq!(request.client_software_version, "2.0.2");
    let cut = Bytes::from_static(&API_VERSIONS_3[..8]);
    assert_eq!(Api::ApiVersions.request_again(&mut Input::new(cut), form), Err(Malformed::Short));
}

#[test]
fn nothing_is_allocated_for_what_is_not_there() {
    // An array of 2^31 - 1 topics in four bytes: other codecs ask for 154 GB.
    let form = form(Api::Metadata, 1);
    let mut input = Input::new(Bytes::from_static(b"\x7f\xff\xff\xff"));
    assert_eq!(read_whole::<MetadataRequest>(&mut input, form), Err(Malformed::Short));
    let flexible = Form { version: 9, is_flexible: true };
    let mut input = Input::new(Bytes::from_static(b"\xff\xff\xff\xff\x0f"));
    assert_eq!(read_whole::<MetadataRequest>(&mut input, flexible), Err(Malformed::Short));
}

#[test]
fn a_tagged_field_is_sent_when_it_says_something_and_an_unknown_one_is_passed_over() {
    let form = form(Api::Fetch, 12);
    let mut request = FetchRequest { topics: vec![FetchTopic::default()], ..Default::default() };
    let mut plain = BytesMut::from(&request.to_bytes(form)[..]);
    request.cluster_id = Some("prj".to_owned());
    let tagged = request.to_bytes(form);
    assert_eq!(tagged.len(), plain.len() + 2 + 4);
    let mut input = Input::new(tagged.clone());
    assert_eq!(read_whole::<FetchRequest>(&mut input, form), Ok(request.clone()));
    // One more field, of number 99.
    let end = plain.len() - 1;
    plain[end] = 1;
    plain.extend_from_slice(b"\x63\x02??");
    request.cluster_id = None;
    let mut input = Input::new(plain.freeze());
    assert_eq!(read_whole::<FetchRequest>(&mut input, form), Ok(request));
}

#[test]
fn the_defaults_of_every_message_go_there_and_back_in_every_version() {
    for &api in Api::ALL {
        for version in api.versions() {
            let form = form(api, version);
            let [request, answer] = api.defaults(form);
            let again = api.request_again(&mut Input::new(request.clone()), form);
            assert_eq!(again.as_deref(), Ok(&request[..]), "{} {version}", api.name());
            let again = api.answer_again(&mut Input::new(answer.clone()), form);
            assert_eq!(again.as_deref(), Ok(&answer[..]), "{} {version}", api.name());
        }
    }
}

#[test]
fn large_parts_stay_where_they_are() {
    let large = Bytes::from(vec![7; 5_000]);
    let records = Records(vec![large.clone(), Bytes::from_static(b"small"), large.clone()]);
    let form = Form { version: 4, is_flexible: false };
    let mut output = Output::default();
    1i32.write(&mut output, form);
    records.write(&mut output, form);
    2i32.write(&mut output, form);
    assert_eq!(output.total(), 4 + 4 + 10_005 + 4);
    let pieces = output.into_pieces();
    let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [8, 5_000, 5, 5_000, 4]);
    assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    assert_eq!(pieces.concat()[4..], [&records.to_bytes(form)[..], &[0, 0, 0, 2]].concat());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        index in 0..Api::ALL.len(),
        version in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let api = Api::ALL[index];
        let versions: Vec<i16> = api.versions().collect();
        let version = *version.get(&versions);
        let read = |bytes| api.request_again(&mut Input::new(bytes), form(api, version));
        if let Ok(again) = read(bytes.into()) {
            prop_assert_eq!(read(again.clone()), Ok(again));
        }
    }
}
