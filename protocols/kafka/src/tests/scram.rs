//! SCRAM's messages, as clients write them and as they do not.

use crate::scram::{Bad, ClientFirst, server_final};
use port::Challenge;
use port::challenges::Digest;
use proptest::prelude::*;

fn challenge() -> Challenge {
    let salt = b"a salt".to_vec();
    Challenge { salt, iterations: 4_096, nonce: "XYZ".to_owned() }
}

fn first(message: &str) -> Result<ClientFirst, Bad> {
    ClientFirst::read(message.as_bytes())
}

#[test]
fn a_client_is_read_and_asked() {
    let read = first("n,,n=key_0123,r=abc").expect("a message");
    assert_eq!((&*read.user, read.is_by_token), ("key_0123", false));
    let (asked, question) = read.ask(&challenge());
    assert_eq!(question, "r=abcXYZ,s=YSBzYWx0,i=4096");
    let response = asked.read(Digest::Sha256, b"c=biws,r=abcXYZ,p=cHJvb2Y=").expect("a response");
    assert_eq!(response.name, "key_0123");
    assert_eq!(response.proof, b"proof");
    let message = "n=key_0123,r=abc,r=abcXYZ,s=YSBzYWx0,i=4096,c=biws,r=abcXYZ";
    assert_eq!(response.message, message.as_bytes());
    assert_eq!(server_final(b"signature"), "v=c2lnbmF0dXJl");
}

/// Gotcha 18 of the field: a delegation token says so in an extension.
#[test]
fn a_sign_in_by_delegation_token_is_told_from_one_by_key() {
    let is_by_token = |message| first(message).expect("a message").is_by_token;
    assert!(is_by_token("n,,n=id,r=abc,tokenauth=true"));
    assert!(is_by_token("n,,n=id,r=abc,x=1,tokenauth=true"));
    assert!(!is_by_token("n,,n=id,r=abc,tokenauth=false"));
    assert!(!is_by_token("n,,n=tokenauth=3Dtrue,r=abc"));
}

#[test]
fn names_have_their_commas_and_equals_signs_back() {
    let user = |message| first(message).map(|first| first.user);
    assert_eq!(user("n,,n=a=2Cb=3Dc,r=r").as_deref(), Ok("a,b=c"));
    assert_eq!(user("y,a=a=2Cb,n=a=2Cb,r=r").as_deref(), Ok("a,b"));
    assert_eq!(user("n,,n=a=2Db,r=r"), Err(Bad::Form));
    assert_eq!(user("n,,n=,r=r"), Err(Bad::Form));
}

#[test]
fn what_is_not_offered_or_no_message_is_refused() {
    for (message, bad) in [
        ("p=tls-exporter,,n=u,r=r", Bad::Binding),
        ("n,a=other,n=u,r=r", Bad::ForOther),
        ("n,,m=x,n=u,r=r", Bad::Extension),
        ("", Bad::Form),
        ("n", Bad::Form),
        ("n,", Bad::Form),
        ("n,,", Bad::Form),
        ("n,,n=u", Bad::Form),
        ("n,,n=u,r=", Bad::Form),
        ("n,,n=u,r=a b", Bad::Form),
        ("n,,n=u,r=r,nonsense", Bad::Form),
        ("n,,n=u,r=r,=1", Bad::Form),
        ("x,,n=u,r=r", Bad::Form),
        ("n,u,n=u,r=r", Bad::Form),
        ("n,,n=u\0,r=r", Bad::Form),
        ("n,,r=r,n=u", Bad::Form),
    ] {
        assert_eq!(first(message), Err(bad), "{message:?}");
    }
    assert_eq!(first(&format!("n,,n={},r=r", "u".repeat(3_000))), Err(Bad::Long));
    assert_eq!(first(&format!("n,,n=u,r={}", "r".repeat(600))), Err(Bad::Form));
    assert_eq!(ClientFirst::read(b"n,,n=\xff,r=r"), Err(Bad::Form));
    let last = |message: &str| {
        let (asked, _) = first("n,,n=u,r=abc").expect("a message").ask(&challenge());
        asked.read(Digest::Sha512, message.as_bytes()).map(|_| ())
    };
    assert_eq!(last("c=biws,r=abcXYZ,x=1,p=AA=="), Ok(()));
    // As old librdkafka has it.
    assert_eq!(last("c=biws,r=abcabcXYZ,p=AA=="), Ok(()));
    for (message, bad) in [
        ("c=biws,r=abcXYZ", Bad::Form),
        ("c=biws,r=abcXYZ,p=A", Bad::Form),
        ("c=eSws,r=abcXYZ,p=AA==", Bad::Binding),
        ("c=biws,r=abcXY,p=AA==", Bad::OtherNonce),
        ("c=biws,r=abc,p=AA==", Bad::OtherNonce),
        ("c=biws,r=xyzabcXYZ,p=AA==", Bad::OtherNonce),
        ("r=abcXYZ,c=biws,p=AA==", Bad::Form),
        ("c=biws,p=AA==", Bad::Form),
        ("", Bad::Form),
    ] {
        assert_eq!(last(message), Err(bad), "{message:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        start in prop::sample::select(vec!["", "n,,", "y,,n=u", "n,,n=u,r=a", "p=x,,n=u,r=a"]),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        last in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let message = [start.as_bytes(), &bytes].concat();
        if let Ok(first) = ClientFirst::read(&message) {
            let (asked, _) = first.ask(&challenge());
            let _ = asked.read(Digest::Sha256, &last);
        }
    }
}
