//! Signing keys as they are brought and stored.

use crate::Secrets;
use crate::signing::{
    Algorithm, Material, SigningKey, VerifyingKey, import_public_key, import_secret,
};
use crate::tests::tokens::{Outside, RSA};
use aws_lc_rs::rsa::KeySize;
use port::Code;
use proptest::prelude::*;
use stdx::{Rng, SystemRng};
use types::ProjectId;
use uuid::Uuid;

fn project(n: u128) -> ProjectId {
    ProjectId(Uuid::from_u128(n))
}

#[test]
fn public_keys_are_accepted_only_for_their_algorithm() {
    let keys = [&*RSA, &Outside::ecdsa(), &Outside::ed25519()];
    for key in keys {
        for algorithm in crate::signing::ALGORITHMS {
            let outcome = import_public_key("main", algorithm, &key.pem());
            assert_eq!(outcome.is_ok(), algorithm == key.algorithm(), "{algorithm:?}");
            if let Err(refusal) = outcome {
                assert_eq!(refusal.code(), Code::InvalidRequest);
                assert_eq!(refusal.field_name(), Some("public_key"));
            }
        }
    }
    for text in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "\u{fffd}"] {
        assert!(import_public_key("main", Algorithm::Rs256, text).is_err());
    }
    assert!(import_public_key("main", Algorithm::EdDsa, &"x".repeat(1_000_000)).is_err());
    let huge = Outside::Rsa(aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa4096).unwrap());
    assert!(import_public_key("main", Algorithm::Rs256, &huge.pem()).is_ok());
}

#[test]
fn shared_secrets_have_a_least_length_and_names_a_form() {
    let sealer = Secrets::from_bytes([1; 32]).sealer(SystemRng::shared());
    let import =
        |name: &str, length: usize| import_secret(&sealer, project(1), name, &vec![7; length]);
    assert!(import("main", 32).is_ok());
    assert_eq!(import("main", 31).unwrap_err().field_name(), Some("secret"));
    for name in ["", "a.b", "ä", "a b", &"x".repeat(65)] {
        assert_eq!(import(name, 32).unwrap_err().field_name(), Some("name"));
    }
}

#[test]
fn sealed_material_opens_only_for_its_project_and_name() {
    let sealer = Secrets::from_bytes([1; 32]).sealer(SystemRng::shared());
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let made = SigningKey::generate(&sealer, project(1), "main", algorithm, &SystemRng);
        let (_, material) = made.unwrap();
        let open = |of, name: &str| VerifyingKey::open(&sealer, of, name, algorithm, &material);
        assert!(open(project(1), "main").is_ok());
        assert!(open(project(2), "main").is_err() && open(project(1), "other").is_err());
        assert_eq!(Material::decode(&material.encode()), Ok(material));
    }
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        assert!(SigningKey::generate(&sealer, project(1), "k", algorithm, &SystemRng).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_stored_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
        let rng: std::sync::Arc<dyn Rng> = SystemRng::shared();
        let sealer = Secrets::from_bytes([1; 32]).sealer(rng);
        if let Ok(material) = Material::decode(&bytes) {
            for algorithm in crate::signing::ALGORITHMS {
                let opened = VerifyingKey::open(&sealer, project(1), "k", algorithm, &material);
                prop_assert!(opened.is_err());
            }
        }
    }
}
