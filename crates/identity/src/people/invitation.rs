//! By mail: invitations, forgotten passwords, and news of what happened to one's account. A link
//! carries its token behind a `#`, which browsers send to no server.

use super::password::check_strength;
use super::throttle::Subject;
use super::{People, is_active, stored_conditions};
use mail::Letter;
use port::{Code, Refusal};
use rules::RoleConditions;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use tenancy::{
    Actor, Invited, MailTokenId, MailTokenKind, NewInvitation, Redemption, Session, User,
};
use types::{ProjectId, TenantId};

/// Somebody who is to look after something.
pub struct Invitation {
    pub email: String,
    /// Until the user says himself.
    pub name: String,
    pub role: String,
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    /// Under which the role counts; `None`: always.
    pub conditions: Option<RoleConditions>,
}

/// What came of an invitation.
pub struct Sent {
    pub invited: Invited,
    /// To be passed on by hand, when no mail is set up here.
    pub link: Option<SecretString>,
}

/// Somebody who has a token from a letter, and chooses a password.
pub struct Redeem {
    pub token: SecretString,
    pub password: SecretString,
    pub name: Option<String>,
}

fn worthless() -> Refusal {
    Refusal::new(Code::InvalidRequest, "the link was used before, or its time is over")
        .field("token")
        .hint("ask for another")
}

impl People {
    fn link(&self, page: &str, token: &SecretString) -> SecretString {
        let console = self.settings.console_url.trim_end_matches('/');
        format!("{console}/{page}#token={}", token.expose_secret()).into()
    }

    /// Letters are a service: who waits for one that was not taken asks again.
    pub(super) fn post(&self, to: &str, subject: &str, text: String) {
        let letter = Letter { to: to.to_owned(), subject: subject.to_owned(), text };
        if self.mailer.is_working() && self.mailer.send(letter).is_err() {
            tracing::warn!(subject, "a letter was not taken: too many wait");
        }
    }

    /// Gives somebody a role by his address; who has no password yet gets a link to choose one.
    /// The caller has checked that whoever asks may give the role there.
    pub async fn invite(&self, wish: Invitation, by: &Actor) -> Result<Sent, Refusal> {
        let fresh = self.texts.fresh();
        let expires_at = self.clock.now_ms().saturating_add(self.settings.invitation_ms());
        let new = NewInvitation {
            email: wish.email,
            name: wish.name,
            role: wish.role,
            tenant: wish.tenant,
            project: wish.project,
            conditions: stored_conditions(wish.conditions.as_ref())?,
            token_hash: fresh.hash.clone(),
            expires_at,
        };
        let invited = self.tenancy.invite_user(new, by).await?;
        let to = invited.user.email.clone();
        let Some(token) = invited.token else {
            let text = format!(
                "You were given a role in Mainstem.\n\nSign in at {}\n",
                self.settings.console_url
            );
            self.post(&to, "You were given a role in Mainstem", text);
            return Ok(Sent { invited, link: None });
        };
        let link = self.link("accept", &self.texts.mailed(&fresh, token));
        if !self.mailer.is_working() {
            return Ok(Sent { invited, link: Some(link) });
        }
        let text = format!(
            "You were invited to Mainstem.\n\nChoose your password here:\n{}\n\nThe link works \
             once and for a limited time. If you did not expect it, do nothing.\n",
            link.expose_secret()
        );
        self.post(&to, "Your invitation to Mainstem", text);
        Ok(Sent { invited, link: None })
    }

    /// Mails a link to choose another password, if there is such a user. Answers alike in every
    /// case, and at once: what there is to do is done afterwards.
    pub async fn forgot(
        self: &std::sync::Arc<Self>,
        email: &str,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        let subjects = [
            Subject::account(&format!("reset {email}"), None),
            Subject::address(&super::sign_in::network(address)),
        ];
        self.admit(&subjects, None, address)?;
        let (people, email) = (std::sync::Arc::clone(self), email.to_owned());
        // Bounded by the throttle, and short; nobody waits for it.
        tokio::spawn(async move {
            if let Err(refusal) = people.mail_reset(&email).await {
                tracing::warn!(%refusal, "a reset of a password could not be mailed");
            }
        });
        Ok(())
    }

    async fn mail_reset(&self, email: &str) -> Result<(), Refusal> {
        let Ok(Some(login)) = self.tenancy.user_by_email(email).await else { return Ok(()) };
        if !is_active(&login.user) || !self.mailer.is_working() {
            return Ok(());
        }
        let fresh = self.texts.fresh();
        let expires_at = self.clock.now_ms().saturating_add(self.settings.reset_ms());
        let (user, by) = (login.user, Actor::system());
        let token = self.tenancy.start_reset(user.id, &fresh.hash, expires_at, &by).await?;
        let link = self.link("reset", &self.texts.mailed(&fresh, token));
        let text = format!(
            "Somebody, probably you, wants to choose a new password for Mainstem.\n\n{}\n\nThe \
             link works once and for a limited time. If it was not you, do nothing: your \
             password stays as it is.\n",
            link.expose_secret()
        );
        self.post(&user.email, "A new password for Mainstem", text);
        Ok(())
    }

    /// Accepts an invitation with the first password.
    pub async fn accept(&self, wish: Redeem) -> Result<User, Refusal> {
        self.redeem(MailTokenKind::Invitation, wish).await
    }

    /// Chooses another password with a mailed token; the user's sessions end. A second factor
    /// stays.
    pub async fn reset(&self, wish: Redeem) -> Result<User, Refusal> {
        let user = self.redeem(MailTokenKind::Reset, wish).await?;
        let text = "The password of your account at Mainstem was changed, and you were signed out \
                    everywhere.\n\nIf it was not you, tell whoever looks after Mainstem.\n";
        self.post(&user.email, "Your password was changed", text.to_owned());
        Ok(user)
    }

    async fn redeem(&self, kind: MailTokenKind, wish: Redeem) -> Result<User, Refusal> {
        let (token, token_hash): (MailTokenId, Vec<u8>) =
            self.texts.open_mailed(wish.token.expose_secret()).ok_or_else(worthless)?;
        // The address is known only afterwards: it cannot be part of this check.
        check_strength(&wish.password, "", self.settings.password_chars_min)?;
        let password = self.passwords.hash(&wish.password).await?;
        let redemption = Redemption { kind, token, token_hash, password, name: wish.name };
        Ok(self.tenancy.redeem(redemption).await?)
    }

    /// Tells a user that somebody signed in from where he was never seen.
    pub(super) fn tell_of_session(&self, user: &User, session: &Session) {
        let text = format!(
            "Somebody signed in to your account at Mainstem from a device or network that is \
             new.\n\nAddress: {}\nDevice: {}\n\nIf it was you, do nothing. If not, change your \
             password at {} : that signs everybody else out.\n",
            session.address, session.device, self.settings.console_url
        );
        self.post(&user.email, "A new device signed in", text);
    }

    /// Tells a user what became of a passkey of his.
    pub(super) fn tell_of_passkey(&self, user: &User, name: &str, what: &str) {
        let text = format!(
            "The passkey \"{name}\" {what} your account at Mainstem.\n\nIf it was not you, change \
             your password at {} and look at your passkeys and sessions.\n",
            self.settings.console_url
        );
        self.post(&user.email, "Your passkeys were changed", text);
    }

    /// Tells a user that there seems to be a copy of a passkey of his.
    pub(super) fn tell_of_copy(&self, user: &User, name: &str, address: IpAddr) {
        let text = format!(
            "Somebody tried to sign in to your account at Mainstem with the passkey \"{name}\", \
             and was refused: the passkey has been used fewer times than it should have been, \
             so there may be a copy of it.\n\nAddress: {address}\n\nRemove the passkey at {} and \
             make a new one.\n",
            self.settings.console_url
        );
        self.post(&user.email, "A passkey was refused", text);
    }

    /// Tells a user that a copy of his refresh token was used.
    pub(super) fn tell_of_reuse(&self, user: &User) {
        let text = format!(
            "A session of your account at Mainstem was ended, because its token was used twice: \
             somebody may have copied it.\n\nSign in again at {} and look at your sessions.\n",
            self.settings.console_url
        );
        self.post(&user.email, "A session was ended", text);
    }
}
