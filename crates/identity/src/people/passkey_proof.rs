//! Proving who one is with a passkey: to sign in, after a password, or once more. Whatever is wrong
//! with an answer is in the trail; who gave it is told that it was not accepted, and no more.

use super::challenges::Purpose;
use super::passkeys::{RequestOptions, TIMEOUT_MS};
use super::sign_in::{device_secret, network, not_an_address};
use super::throttle::Subject;
use super::{People, Person, SignedIn, is_active};
use port::{Code, Refusal, metric};
use secrecy::SecretString;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use tenancy::{
    Actor, NewSession, PasskeyAnswer, PasskeyLogin, PasskeyUse, Proven, Session, User, UserId,
};
use uuid::Uuid;
use webauthn::{AssertionAnswer, PublicKey, challenge_of};

/// What a browser brings after a passkey was used.
#[derive(Debug, Clone)]
pub struct PasskeyProof {
    pub credential_id: Vec<u8>,
    /// Whom the authenticator takes the user for, when it says so.
    pub user_handle: Option<Vec<u8>>,
    pub answer: AssertionAnswer,
}

/// Somebody who wants to sign in with a passkey alone.
pub struct PasskeySignIn {
    pub proof: PasskeyProof,
    /// As in `SignIn`.
    pub device: SecretString,
    pub device_name: String,
    pub address: IpAddr,
}

/// Somebody with a password who has a passkey for a second factor.
pub struct PasskeyAfterPassword {
    pub email: String,
    pub password: SecretString,
    pub device: SecretString,
    pub address: IpAddr,
}

fn refused() -> Refusal {
    Refusal::new(Code::InvalidToken, "the passkey was not accepted")
        .field("passkey")
        .hint("ask for fresh options and try again, or sign in with the password")
}

impl People {
    fn options(&self, purpose: Purpose) -> Result<RequestOptions, Refusal> {
        Ok(RequestOptions {
            party: self.party()?,
            challenge: self.challenges.make(purpose, self.clock.now_ms()),
            allowed: Vec::new(),
            timeout_ms: TIMEOUT_MS,
        })
    }

    async fn options_of(&self, user: UserId, purpose: Purpose) -> Result<RequestOptions, Refusal> {
        let mut options = self.options(purpose)?;
        options.allowed = self.tenancy.passkeys(user).await?;
        if options.allowed.is_empty() {
            let refusal = Refusal::new(Code::NotFound, "the account has no passkey");
            return Err(refusal.field("passkey").hint("use the password and the code"));
        }
        Ok(options)
    }

    /// What is asked of whoever wants to sign in with a passkey; nobody is known yet.
    pub fn passkey_options(&self) -> Result<RequestOptions, Refusal> {
        self.options(Purpose::SignIn)
    }

    /// What is asked of somebody who wants to prove again who he is.
    pub async fn elevate_options(&self, who: &Person) -> Result<RequestOptions, Refusal> {
        let purpose = Purpose::Elevate(who.user.id, who.session.id);
        self.options_of(who.user.id, purpose).await
    }

    /// What is asked of somebody after his password, in place of the code. Counts as an attempt to
    /// sign in that has not succeeded yet: who knows the password learns which passkeys there are.
    pub async fn second_factor_options(
        &self,
        wish: PasskeyAfterPassword,
    ) -> Result<RequestOptions, Refusal> {
        self.party()?;
        let device_hash = self.texts.device(device_secret(&wish.device)?);
        let found = self.tenancy.user_by_email(&wish.email).await.or_else(not_an_address)?;
        let asked = found.as_ref().map_or(UserId(Uuid::nil()), |login| login.user.id);
        let is_known = self.tenancy.knows_device(asked, &device_hash).await?;
        let subjects = [
            Subject::account(&wish.email, is_known.then_some(device_hash.as_slice())),
            Subject::address(&network(wish.address)),
        ];
        self.admit(&subjects, found.as_ref().map(|login| &login.user), wish.address)?;
        let user = self.prove(found, &wish.password, wish.address).await?;
        self.options_of(user.id, Purpose::SecondFactor(user.id)).await
    }

    /// Opens a session for whoever answers with a passkey, which has verified its user and so
    /// counts as two factors. Refuses with `INVALID_TOKEN` what is wrong in any way, and with
    /// `RATE_LIMIT_EXCEEDED` after too many attempts.
    pub async fn sign_in_with_passkey(&self, wish: PasskeySignIn) -> Result<SignedIn, Refusal> {
        self.party()?;
        let device_hash = self.texts.device(device_secret(&wish.device)?);
        let found = self.tenancy.passkey_by_credential(&wish.proof.credential_id).await?;
        let user = found.as_ref().map(|login| login.user.clone());
        let asked = user.as_ref().map_or(UserId(Uuid::nil()), |user| user.id);
        let is_known = self.tenancy.knows_device(asked, &device_hash).await?;
        // A credential nobody has is counted by the address alone.
        let name = user.as_ref().map_or("a passkey that is not known", |user| user.email.as_str());
        let account = Subject::account(name, is_known.then_some(device_hash.as_slice()));
        let address = Subject::address(&network(wish.address));
        let subjects = match user {
            Some(_) => vec![account, address],
            None => vec![address],
        };
        self.admit(&subjects, user.as_ref(), wish.address)?;
        let user = self.prove_by_passkey(found, &wish.proof, Purpose::SignIn, wish.address).await?;
        self.throttle.forgive(&subjects);
        let new = NewSession {
            user: user.id,
            how: Proven::Passkey,
            provider: None,
            refresh_hash: Vec::new(),
            device_hash,
            device: wish.device_name,
            address: wish.address.to_string(),
            network: network(wish.address),
        };
        self.open(user, new).await
    }

    /// For a few minutes the session may do what needs a recent proof.
    pub async fn elevate_with_passkey(
        &self,
        who: &Person,
        proof: &PasskeyProof,
        address: IpAddr,
    ) -> Result<Session, Refusal> {
        let subjects = [who.again()];
        self.admit(&subjects, Some(&who.user), address)?;
        let purpose = Purpose::Elevate(who.user.id, who.session.id);
        self.prove_own_passkey(&who.user, proof, purpose, address).await?;
        self.throttle.forgive(&subjects);
        self.elevate_now(who, Proven::Passkey).await
    }

    /// The second factor of somebody whose password was right.
    pub(super) async fn prove_second_by_passkey(
        &self,
        user: &User,
        proof: &PasskeyProof,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        self.prove_own_passkey(user, proof, Purpose::SecondFactor(user.id), address).await
    }

    async fn prove_own_passkey(
        &self,
        user: &User,
        proof: &PasskeyProof,
        purpose: Purpose,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        self.party()?;
        let found = self.tenancy.passkey_by_credential(&proof.credential_id).await?;
        if let Some(login) = found.as_ref().filter(|login| login.user.id != user.id) {
            self.note_passkey(login, "another_user", address);
            return Err(refused());
        }
        self.prove_by_passkey(found, proof, purpose, address).await.map(|_| ())
    }

    /// The user whose passkey it is, when the answer is genuine, to this challenge, and new.
    async fn prove_by_passkey(
        &self,
        found: Option<PasskeyLogin>,
        proof: &PasskeyProof,
        purpose: Purpose,
        address: IpAddr,
    ) -> Result<User, Refusal> {
        let refuse = || {
            metrics::counter!(metric::SIGN_INS, "outcome" => "refused").increment(1);
            refused()
        };
        let Some(login) = found else {
            self.note_stranger(address);
            return Err(refuse());
        };
        let answer = match self.check_answer(&login, proof, purpose) {
            Ok(answer) => answer,
            Err(reason) => {
                self.note_passkey(&login, reason, address);
                return Err(refuse());
            }
        };
        let by = Actor::user(login.user.id, &login.user.email).from_address(address);
        match self.tenancy.use_passkey(answer, &by).await? {
            PasskeyUse::Done => Ok(login.user),
            PasskeyUse::Gone => Err(refuse()),
            PasskeyUse::Replayed => {
                self.note_passkey(&login, "replayed", address);
                Err(refuse())
            }
            PasskeyUse::CountWentBack => {
                tracing::warn!(user = %login.user.id, "the count of a passkey went back");
                self.tell_of_copy(&login.user, &login.passkey.name, address);
                Err(refuse())
            }
        }
    }

    /// What an answer says, or one word for why it is none.
    fn check_answer(
        &self,
        login: &PasskeyLogin,
        proof: &PasskeyProof,
        purpose: Purpose,
    ) -> Result<PasskeyAnswer, &'static str> {
        let handle = proof.user_handle.as_deref();
        if handle.is_some_and(|handle| handle != login.user.id.0.as_bytes()) {
            return Err("another_user");
        }
        let challenge = challenge_of(&proof.answer.client_data).map_err(|why| why.word())?;
        let now = self.clock.now_ms();
        let spent = self.challenges.open(&challenge, purpose, now).ok_or("stale_challenge")?;
        let key = PublicKey::read(&login.public_key).map_err(|why| why.word())?;
        let party = self.party().map_err(|_| "no_party")?;
        let asserted = party.assert(&challenge, &key, &proof.answer).map_err(|why| why.word())?;
        if !is_active(&login.user) {
            return Err("user_not_active");
        }
        Ok(PasskeyAnswer {
            passkey: login.passkey.id,
            count: asserted.count,
            is_synced: asserted.is_synced,
            challenge: spent,
        })
    }

    /// As `note_later`, with the reason. Bounded by the throttle.
    fn note_passkey(&self, login: &PasskeyLogin, reason: &'static str, address: IpAddr) {
        let (tenancy, user) = (Arc::clone(&self.tenancy), login.user.id);
        let (passkey, name) = (login.passkey.id, login.passkey.name.clone());
        tokio::spawn(async move {
            let details = json!({
                "passkey": passkey, "name": name, "reason": reason,
                "address": address.to_string(),
            });
            let by = Actor::system().from_address(address);
            let noted = tenancy.note_attempt(user, "passkey.refuse", details, &by).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "an attempt with a passkey is not in the trail");
            }
        });
    }
}
