//! A person's own account: the first owner, a new password, and proving once more who one is.

use super::password::check_strength;
use super::{People, Person};
use port::{Code, Refusal};
use secrecy::SecretString;
use std::net::IpAddr;
use tenancy::{Actor, NewUser, Proven, Session, User};

/// Who sets the installation up.
pub struct NewOwner {
    pub email: String,
    pub name: String,
    pub password: SecretString,
}

/// What somebody who is signed in brings to prove again who he is.
pub struct Proof {
    pub password: SecretString,
    /// Of the second factor, when the account has one: six digits, or a recovery code.
    pub code: Option<SecretString>,
    pub address: IpAddr,
}

impl People {
    /// Whether the installation still waits for its owner.
    pub async fn needs_owner(&self) -> Result<bool, Refusal> {
        Ok(!self.tenancy.has_users().await?)
    }

    /// The first user. Only for callers that have checked an operator token. Refused with
    /// `CONFLICT` when there is any user.
    pub async fn create_owner(&self, new: NewOwner, by: &Actor) -> Result<User, Refusal> {
        check_strength(&new.password, &new.email, self.settings.password_chars_min)?;
        // Asked again when it is written; here it only saves the work.
        if !self.needs_owner().await? {
            let refusal = Refusal::new(Code::Conflict, "the installation has its owner already");
            return Err(refusal.hint("sign in, or ask the owner for an invitation"));
        }
        let hash = self.passwords.hash(&new.password).await?;
        let user = NewUser { email: new.email, name: new.name };
        Ok(self.tenancy.create_owner(user, &hash, by).await?)
    }

    /// A new password in place of the current one; the other sessions of the user end.
    pub async fn change_password(
        &self,
        who: &Person,
        current: &Proof,
        new: &SecretString,
    ) -> Result<(), Refusal> {
        check_strength(new, &who.user.email, self.settings.password_chars_min)?;
        self.prove_again(who, current).await?;
        let hash = self.passwords.hash(new).await?;
        let kept = Some(who.session.id);
        Ok(self.tenancy.set_password(who.user.id, &hash, kept, &who.actor()).await?)
    }

    /// For a few minutes the session may do what needs a recent proof.
    pub async fn elevate(&self, who: &Person, proof: &Proof) -> Result<Session, Refusal> {
        let how = self.prove_again(who, proof).await?;
        self.elevate_now(who, how).await
    }

    pub(super) async fn elevate_now(&self, who: &Person, how: Proven) -> Result<Session, Refusal> {
        let elevated_ms = i64::try_from(self.settings.elevated_ms).unwrap_or(i64::MAX);
        let until = self.clock.now_ms().saturating_add(elevated_ms);
        Ok(self.tenancy.elevate_session(who.session.id, until, how, &who.actor()).await?)
    }

    /// What proves somebody who is signed in, guarded like signing in is.
    async fn prove_again(&self, who: &Person, proof: &Proof) -> Result<Proven, Refusal> {
        let subjects = [who.again()];
        self.admit(&subjects, Some(&who.user), proof.address)?;
        let login = self.tenancy.user_login(who.user.id).await?;
        let user = self.prove(Some(login), &proof.password, proof.address).await?;
        let how = self.prove_second(&user, proof.code.as_ref()).await?;
        self.throttle.forgive(&subjects);
        Ok(how)
    }
}
