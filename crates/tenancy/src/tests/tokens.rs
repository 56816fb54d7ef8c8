//! Signing keys and token settings.

use super::{on_each, operator};
use crate::signing::SIGNING_KEYS_MAX;
use crate::{NewSigningKey, SigningAlgorithm, TenancyError, TokenSettings};

fn signing_key(kid: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        algorithm: SigningAlgorithm::EdDsa,
        material: vec![0, 159, 146, 150],
    }
}

#[tokio::test]
async fn verification_finds_all_that_checks_a_token() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let first = store.add_signing_key(tenant, project, signing_key("k1"), &by).await.unwrap();
        let second = store.add_signing_key(tenant, project, signing_key("k2"), &by).await.unwrap();
        let settings = TokenSettings {
            jwks_url: Some("https://login.example.org/jwks.json".into()),
            audiences: vec!["app".into()],
            issuers: vec!["https://login.example.org".into()],
        };
        store.set_token_settings(tenant, project, &settings, &by).await.unwrap();
        assert_eq!(store.token_settings(tenant, project).await.unwrap(), settings);
        let found = store.find_verification(project).await.unwrap().unwrap();
        assert_eq!((found.tenant.id, found.project.id), (tenant, project));
        assert_eq!(found.keys, vec![first.clone(), second.clone()]);
        assert_eq!(found.settings, settings);
        assert!(!format!("{first:?}").contains("159"), "material must not be printed");

        let twice = store.add_signing_key(tenant, project, signing_key("k1"), &by).await;
        assert!(
            matches!(twice, Err(TenancyError::Conflict { field: Some("kid"), .. })),
            "{twice:?}"
        );
        store.remove_signing_key(tenant, project, first.id, &by).await.unwrap();
        let again = store.remove_signing_key(tenant, project, first.id, &by).await;
        assert_eq!(again, Err(TenancyError::NotFound { what: "signing key" }));
        let left = store.signing_keys(tenant, project, None, 10).await.unwrap();
        assert_eq!(left.items, vec![second]);
    })
    .await;
}

#[tokio::test]
async fn settings_and_keys_are_bounded() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let refused = [
            ("jwks_url", TokenSettings { jwks_url: Some(String::new()), ..Default::default() }),
            ("audiences", TokenSettings { audiences: vec![String::new()], ..Default::default() }),
            ("issuers", TokenSettings { issuers: vec!["i".into(); 17], ..Default::default() }),
        ];
        for (wanted, settings) in refused {
            let error = store.set_token_settings(tenant, project, &settings, &by).await;
            let Err(TenancyError::Invalid { field, .. }) = error else { panic!("{error:?}") };
            assert_eq!(field, wanted);
        }
        for index in 0..SIGNING_KEYS_MAX {
            let new = signing_key(&index.to_string());
            store.add_signing_key(tenant, project, new, &by).await.unwrap();
        }
        let full = store.add_signing_key(tenant, project, signing_key("more"), &by).await;
        assert!(matches!(full, Err(TenancyError::LimitReached { .. })), "{full:?}");
    })
    .await;
}
