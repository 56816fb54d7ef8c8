//! What strangers give webhooks: URLs and networks of definitions, and the headers that a receiver
//! checks. Neither may panic, and what is accepted must hold what it promises.

use standard_webhooks::{Received, SigningKey, VerifyingKey, sign, verify};
use webhooks::{Config, Network, check};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn webhook_urls() {
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let config = Config::default();
        for url in [text.clone().into_owned(), format!("https://{text}")] {
            let _ = check(&url, &config);
        }
        if let Ok(network) = text.parse::<Network>() {
            assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    });
}

#[test]
fn webhook_signatures() {
    let good = sign(&[SigningKey::parse(SECRET).expect("a secret")], "msg_1", 1_000, b"{}");
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let keys = [VerifyingKey::parse(SECRET).expect("a secret")];
        let (id, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let (timestamp, signatures) = rest.split_once('\n').unwrap_or((rest, ""));
        let received = Received { id, timestamp, signatures };
        let outcome = verify(&keys, received, input, 1_000, 300);
        // A signature of other bytes never fits.
        assert!(outcome.is_err(), "{outcome:?}");
        let own = Received { id: "msg_1", timestamp: "1000", signatures: &good };
        assert_eq!(verify(&keys, own, input, 1_000, 300).is_ok(), input == b"{}");
        let _ = SigningKey::parse(&text);
        let _ = VerifyingKey::parse(&format!("whpk_{text}"));
    });
}
