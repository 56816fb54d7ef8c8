//! Who can sign in by SCRAM (KIP-554): the project's keys. They are not made, changed or deleted by
//! Kafka's requests: a key's secret is drawn by the platform, and goes with its rights.

use crate::call::Call;
use crate::config::SecurityAccess;
use crate::errors;
use crate::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
};
use crate::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use port::{KeyState, Security};
use std::collections::{BTreeMap, BTreeSet};
use types::KeyId;

/// Users that are asked about by name, or told, at most.
const USERS_MAX: usize = 10_000;
/// Keys asked for at once.
const PAGE_MAX: usize = 1_000;
/// The mechanisms by their numbers: SCRAM-SHA-256 and SCRAM-SHA-512. A key has both.
const MECHANISMS: [i8; 2] = [1, 2];

type Told = (i16, String);
type Described = DescribeUserScramCredentialsResult;

pub async fn describe(
    call: &Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let named = request.users.unwrap_or_default().into_iter().map(|user| user.name).collect();
    match described(call, named).await {
        Ok(results) => DescribeUserScramCredentialsResponse { results, ..Default::default() },
        Err((error_code, why)) => DescribeUserScramCredentialsResponse {
            error_code,
            error_message: Some(why),
            ..Default::default()
        },
    }
}

/// Of the users named, or of all when none is.
async fn described(call: &Call, named: Vec<String>) -> Result<Vec<Described>, Told> {
    let security = call.security(SecurityAccess::Read)?;
    if named.is_empty() {
        return all(call, security).await;
    }
    if named.len() > USERS_MAX {
        return Err(too_many());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    named.iter().for_each(|name| *counts.entry(name).or_default() += 1);
    let mut results = Vec::with_capacity(counts.len());
    for (name, count) in counts {
        let found = match find(call, security, name).await? {
            _ if count > 1 => Err((errors::DUPLICATE_RESOURCE, "the user is named twice")),
            Some(key) => shown(key).ok_or((errors::RESOURCE_NOT_FOUND, UNLEARNED)),
            None => Err((errors::RESOURCE_NOT_FOUND, UNKNOWN)),
        };
        results.push(found.unwrap_or_else(|(error_code, why)| Described {
            user: name.to_owned(),
            error_code,
            error_message: Some(why.to_owned()),
            ..Described::default()
        }));
    }
    Ok(results)
}

const UNKNOWN: &str = "the project has no such key that counts: users are the ids of keys";
const UNLEARNED: &str = "the key was made before there was SCRAM: let it sign in by PLAIN once";

async fn find(call: &Call, security: &dyn Security, name: &str) -> Result<Option<KeyState>, Told> {
    let Ok(id) = name.parse::<KeyId>() else { return Ok(None) };
    security.key(&call.who, id).await.map_err(|refusal| errors::of_security(&refusal))
}

async fn all(call: &Call, security: &dyn Security) -> Result<Vec<Described>, Told> {
    let (mut results, mut after) = (Vec::new(), None);
    loop {
        let page = security.keys(&call.who, after, PAGE_MAX).await;
        let page = page.map_err(|refusal| errors::of_security(&refusal))?;
        results.extend(page.keys.into_iter().filter_map(shown));
        if results.len() > USERS_MAX {
            return Err(too_many());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(results),
        }
    }
}

fn too_many() -> Told {
    (errors::POLICY_VIOLATION, format!("{USERS_MAX} users are told at most: name them"))
}

/// `None`: the key must be shown.
fn shown(key: KeyState) -> Option<Described> {
    let iterations = i32::try_from(key.iterations?).unwrap_or(i32::MAX);
    let infos = MECHANISMS.map(|mechanism| CredentialInfo { mechanism, iterations });
    Some(Described {
        user: key.id.to_string(),
        credential_infos: infos.to_vec(),
        ..Described::default()
    })
}

/// What a request wants of one user.
#[derive(Default)]
struct Wanted {
    count: usize,
    is_made: bool,
    is_unknown_mechanism: bool,
}

pub async fn alter(
    call: &Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    let deletions = request.deletions.into_iter().map(|it| (it.name, it.mechanism, false));
    let upsertions = request.upsertions.into_iter().map(|it| (it.name, it.mechanism, true));
    for (name, mechanism, is_made) in deletions.chain(upsertions) {
        let user = wanted.entry(name).or_default();
        user.count += 1;
        user.is_made |= is_made;
        user.is_unknown_mechanism |= !MECHANISMS.contains(&mechanism);
    }
    let known = known(call, &wanted).await;
    let result = |(user, wanted): (String, Wanted)| {
        let (error_code, why) = match &known {
            Ok(known) => refused(&wanted, known.contains(&user)),
            // Whether there is such a user is not told to who may not see it.
            Err(told) => told.clone(),
        };
        AlterUserScramCredentialsResult { user, error_code, error_message: Some(why) }
    };
    let results = wanted.into_iter().map(result).collect();
    AlterUserScramCredentialsResponse { results, ..Default::default() }
}

/// Which of them there are, for who could change something.
async fn known(call: &Call, wanted: &BTreeMap<String, Wanted>) -> Result<BTreeSet<String>, Told> {
    let security = call.security(SecurityAccess::Write)?;
    if wanted.len() > USERS_MAX {
        return Err(too_many());
    }
    let mut known = BTreeSet::new();
    for name in wanted.keys() {
        if find(call, security, name).await?.is_some() {
            known.insert(name.clone());
        }
    }
    Ok(known)
}

fn refused(wanted: &Wanted, is_known: bool) -> Told {
    let (error, why) = match wanted {
        Wanted { count: 2.., .. } => (errors::DUPLICATE_RESOURCE, "the user is named twice"),
        Wanted { is_unknown_mechanism: true, .. } => {
            (errors::UNSUPPORTED_SASL_MECHANISM, "there is no such mechanism of SCRAM")
        }
        Wanted { is_made: true, .. } => (
            errors::UNACCEPTABLE_CREDENTIAL,
            "secrets of keys are drawn by the platform and not set: make a key, or rotate one, with \
             `mainstem keys` or the admin API; its id is the user, its secret the password",
        ),
        _ if !is_known => (errors::RESOURCE_NOT_FOUND, UNKNOWN),
        _ => (
            errors::UNACCEPTABLE_CREDENTIAL,
            "a key signs in by every mechanism its listener takes, or not at all: revoke the key \
             with `mainstem keys` or the admin API, or name the listener's `mechanisms`",
        ),
    };
    (error, why.to_owned())
}
