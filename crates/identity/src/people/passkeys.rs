//! Passkeys of one's account: what a browser is asked for to make one, keeping it, its name, doing
//! without it. Using one is in `passkey_proof`.

use super::challenges::{CHALLENGE_MS, Purpose};
use super::{People, Person};
use port::{Code, Refusal};
use tenancy::{Actor, NewPasskey, Passkey, PasskeyId, User};
use webauthn::{RegistrationAnswer, Rejected, RelyingParty, challenge_of};

/// What a browser is given to make a passkey (Web Authentication section 5.4).
pub struct CreationOptions {
    pub party: RelyingParty,
    pub challenge: Vec<u8>,
    pub user: User,
    /// By which the authenticator knows the user; no one outside learns anything from it.
    pub user_handle: Vec<u8>,
    /// Authenticators that hold one of these make no other.
    pub known: Vec<Passkey>,
    pub timeout_ms: u64,
}

/// What a browser is given to use a passkey (section 5.5).
pub struct RequestOptions {
    pub party: RelyingParty,
    pub challenge: Vec<u8>,
    /// Empty: whichever the authenticator finds for this site.
    pub allowed: Vec<Passkey>,
    pub timeout_ms: u64,
}

/// What a browser brings after a passkey was made.
pub struct MadePasskey {
    /// As the user wants to call it.
    pub name: String,
    pub answer: RegistrationAnswer,
    pub transports: Vec<String>,
}

pub(super) const TIMEOUT_MS: u64 = CHALLENGE_MS.unsigned_abs();

fn unfit(why: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("the passkey cannot be taken: {why}"))
        .field("credential")
        .hint("ask for fresh options and make the passkey again")
}

impl From<Rejected> for Unfit {
    fn from(rejected: Rejected) -> Unfit {
        Unfit(unfit(&rejected.to_string()))
    }
}

struct Unfit(Refusal);

impl People {
    /// The origin of the pages on which passkeys can be used; `None` where there can be none.
    pub fn passkey_origin(&self) -> Option<String> {
        RelyingParty::new(&self.settings.console_url).ok().map(|party| party.origin().to_owned())
    }

    pub(super) fn party(&self) -> Result<RelyingParty, Refusal> {
        RelyingParty::new(&self.settings.console_url).map_err(|why| {
            Refusal::new(Code::Unsupported, format!("there are no passkeys here: {why}"))
                .field("people.console_url")
                .hint("set it to the console's own name, such as https://console.example.org")
        })
    }

    /// Asks for a new passkey. The caller has asked for a recent proof.
    pub async fn begin_passkey(&self, who: &Person) -> Result<CreationOptions, Refusal> {
        self.require_own_session(who)?;
        let party = self.party()?;
        let purpose = Purpose::Register(who.user.id, who.session.id);
        Ok(CreationOptions {
            party,
            challenge: self.challenges.make(purpose, self.clock.now_ms()),
            user: who.user.clone(),
            user_handle: who.user.id.0.as_bytes().to_vec(),
            known: self.tenancy.passkeys(who.user.id).await?,
            timeout_ms: TIMEOUT_MS,
        })
    }

    /// Keeps the passkey that was made in answer to `begin_passkey`. Refuses with `INVALID_REQUEST`
    /// what was made for somebody else, elsewhere, or too long ago.
    pub async fn add_passkey(
        &self,
        who: &Person,
        made: MadePasskey,
        by: &Actor,
    ) -> Result<Passkey, Refusal> {
        self.require_own_session(who)?;
        let party = self.party()?;
        let checked = || -> Result<_, Unfit> {
            let challenge = challenge_of(&made.answer.client_data)?;
            let purpose = Purpose::Register(who.user.id, who.session.id);
            let spent = self.challenges.open(&challenge, purpose, self.clock.now_ms());
            let spent = spent.ok_or_else(|| Unfit(unfit("its challenge does not count")))?;
            Ok((party.register(&challenge, &made.answer)?, spent))
        };
        let (registered, challenge) = checked().map_err(|Unfit(refusal)| refusal)?;
        let new = NewPasskey {
            user: who.user.id,
            name: made.name,
            credential_id: registered.credential_id,
            public_key: registered.public_key,
            transports: made.transports,
            count: registered.count,
            is_synced: registered.is_synced,
            challenge,
        };
        let passkey = self.tenancy.add_passkey(new, by).await?;
        self.tell_of_passkey(&who.user, &passkey.name, "was added to");
        Ok(passkey)
    }

    /// The caller has checked that `by` may do this, with a recent proof. Refused with `CONFLICT`
    /// when the user could not sign in any more.
    pub async fn remove_passkey(
        &self,
        user: &User,
        passkey: PasskeyId,
        by: &Actor,
    ) -> Result<(), Refusal> {
        let known = self.tenancy.passkeys(user.id).await?;
        self.tenancy.remove_passkey(user.id, passkey, by).await?;
        let name = known.iter().find(|known| known.id == passkey).map(|known| known.name.as_str());
        self.tell_of_passkey(user, name.unwrap_or_default(), "was removed from");
        Ok(())
    }
}
