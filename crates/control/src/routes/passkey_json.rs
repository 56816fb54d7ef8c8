//! What browsers and this API tell each other of passkeys, in Web Authentication's own JSON (Level
//! 3 sections 5.4, 5.5 and 6): its names are the standard's. Browsers may add members to answers,
//! so these types pass over what they do not know. Bytes are base64url. It must not judge an
//! answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::people::{CreationOptions, PasskeyProof, RequestOptions};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use tenancy::Passkey;
use utoipa::ToSchema;
use webauthn::{
    ALGORITHMS, ATTESTATION_BYTES_MAX, AUTHENTICATOR_DATA_BYTES_MAX, AssertionAnswer,
    CLIENT_DATA_BYTES_MAX, CREDENTIAL_ID_BYTES_MAX, RegistrationAnswer, SIGNATURE_BYTES_MAX,
};

/// Section 5.4.3: a user handle has at most so many bytes.
const USER_HANDLE_BYTES_MAX: usize = 64;
/// Ways to an authenticator that a browser may name.
const TRANSPORTS_MAX: usize = 16;
const KIND: &str = "public-key";

#[derive(Serialize, ToSchema)]
struct Party {
    id: String,
    name: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PasskeyUser {
    id: String,
    name: String,
    display_name: String,
}

#[derive(Serialize, ToSchema)]
struct KeyParameters {
    #[serde(rename = "type")]
    kind: &'static str,
    alg: i64,
}

#[derive(Serialize, ToSchema)]
struct KnownCredential {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    transports: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Selection {
    resident_key: &'static str,
    require_resident_key: bool,
    user_verification: &'static str,
}

/// `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyCreationOptions)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreationOptionsView {
    rp: Party,
    user: PasskeyUser,
    challenge: String,
    pub_key_cred_params: Vec<KeyParameters>,
    /// Milliseconds.
    timeout: u64,
    exclude_credentials: Vec<KnownCredential>,
    authenticator_selection: Selection,
    attestation: &'static str,
}

/// `PublicKeyCredentialRequestOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyRequestOptions)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestOptionsView {
    challenge: String,
    /// Milliseconds.
    timeout: u64,
    rp_id: String,
    /// Empty: any passkey of this site.
    allow_credentials: Vec<KnownCredential>,
    user_verification: &'static str,
}

impl From<Passkey> for KnownCredential {
    fn from(passkey: Passkey) -> KnownCredential {
        KnownCredential {
            kind: KIND,
            id: URL_SAFE_NO_PAD.encode(passkey.credential_id),
            transports: passkey.transports,
        }
    }
}

impl From<CreationOptions> for CreationOptionsView {
    fn from(options: CreationOptions) -> CreationOptionsView {
        let parameters = ALGORITHMS.iter().map(|alg| KeyParameters { kind: KIND, alg: *alg });
        CreationOptionsView {
            rp: Party { id: options.party.id().to_owned(), name: "Mainstem" },
            user: PasskeyUser {
                id: URL_SAFE_NO_PAD.encode(options.user_handle),
                name: options.user.email,
                display_name: options.user.name,
            },
            challenge: URL_SAFE_NO_PAD.encode(options.challenge),
            pub_key_cred_params: parameters.collect(),
            timeout: options.timeout_ms,
            exclude_credentials: options.known.into_iter().map(Into::into).collect(),
            authenticator_selection: Selection {
                resident_key: "required",
                require_resident_key: true,
                user_verification: "required",
            },
            attestation: "none",
        }
    }
}

impl From<RequestOptions> for RequestOptionsView {
    fn from(options: RequestOptions) -> RequestOptionsView {
        RequestOptionsView {
            challenge: URL_SAFE_NO_PAD.encode(options.challenge),
            timeout: options.timeout_ms,
            rp_id: options.party.id().to_owned(),
            allow_credentials: options.allowed.into_iter().map(Into::into).collect(),
            user_verification: "required",
        }
    }
}

/// `RegistrationResponseJSON`: what `navigator.credentials.create` made.
#[derive(Deserialize, ToSchema)]
pub(super) struct AttestedCredential {
    /// Always `public-key`.
    #[serde(rename = "type")]
    kind: String,
    response: AttestationResponse,
}

#[derive(Deserialize, ToSchema)]
struct AttestationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "attestationObject")]
    attestation: String,
    /// How the authenticator can be reached; a hint for the browser.
    #[serde(default)]
    transports: Vec<String>,
}

/// `AuthenticationResponseJSON`: what `navigator.credentials.get` brought.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeyCredential {
    /// Base64url.
    id: String,
    /// Always `public-key`.
    #[serde(rename = "type")]
    kind: String,
    response: AssertionResponse,
}

#[derive(Deserialize, ToSchema)]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "authenticatorData")]
    authenticator_data: String,
    signature: String,
    #[serde(rename = "userHandle", default)]
    user_handle: Option<String>,
}

fn malformed(field: &'static str, why: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, why)
        .field(field)
        .hint("send what the browser's `toJSON` of the credential gives")
}

/// The bytes of one member, which is not decoded when it must be too long.
fn bytes(field: &'static str, text: &str, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let decoded = match text.len() <= bytes_max.div_ceil(3) * 4 {
        true => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
        false => None,
    };
    let fitting = decoded.filter(|bytes| bytes.len() <= bytes_max);
    fitting
        .ok_or_else(|| malformed(field, format!("expected base64url of {bytes_max} bytes at most")))
}

fn check_kind(kind: &str) -> Result<(), Refusal> {
    match kind == KIND {
        true => Ok(()),
        false => Err(malformed("type", format!("expected `{KIND}`"))),
    }
}

impl AttestedCredential {
    /// The answer, and how the authenticator can be reached.
    pub(super) fn answer(self) -> Result<(RegistrationAnswer, Vec<String>), Refusal> {
        check_kind(&self.kind)?;
        let response = self.response;
        let client_data = bytes("clientDataJSON", &response.client_data, CLIENT_DATA_BYTES_MAX)?;
        let attestation = bytes("attestationObject", &response.attestation, ATTESTATION_BYTES_MAX)?;
        let transports = response.transports.into_iter().take(TRANSPORTS_MAX).collect();
        Ok((RegistrationAnswer { client_data, attestation }, transports))
    }
}

impl PasskeyCredential {
    pub(super) fn proof(self) -> Result<PasskeyProof, Refusal> {
        check_kind(&self.kind)?;
        let given = self.response;
        let user_handle = match given.user_handle.as_deref() {
            Some(text) => Some(bytes("userHandle", text, USER_HANDLE_BYTES_MAX)?),
            None => None,
        };
        let data = (&given.authenticator_data, AUTHENTICATOR_DATA_BYTES_MAX);
        Ok(PasskeyProof {
            credential_id: bytes("id", &self.id, CREDENTIAL_ID_BYTES_MAX)?,
            user_handle,
            answer: AssertionAnswer {
                client_data: bytes("clientDataJSON", &given.client_data, CLIENT_DATA_BYTES_MAX)?,
                authenticator_data: bytes("authenticatorData", data.0, data.1)?,
                signature: bytes("signature", &given.signature, SIGNATURE_BYTES_MAX)?,
            },
        })
    }
}
