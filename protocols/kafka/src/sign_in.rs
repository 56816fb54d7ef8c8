//! Signing in, one message at a time, whatever frames it comes in: what a client has shown is asked
//! of the platform.

use crate::config::{ClientCertificates, NamedBy};
use crate::kerberos::Tickets;
use crate::kerberos::exchange::{Exchange, Turn};
use crate::principal::Rules;
use crate::sasl::{Mechanism, Presented};
use crate::scram::{self, Bad, ClientFirst};
use crate::tokens;
use bytes::Bytes;
use port::challenges::Digest;
use port::{Certificate, Challenges, Code, Confirmed, Hub, Identity, Peer, Refusal, Vouched};
use types::{ProjectId, TimestampMs};

/// Says which key a certificate stands for on one listener.
pub struct Voucher {
    named_by: NamedBy,
    rules: Rules,
    projects: Vec<ProjectId>,
}

impl Voucher {
    /// # Errors
    /// When a rule cannot be read.
    pub fn new(config: &ClientCertificates) -> Result<Voucher, Refusal> {
        let (rules, projects) = (Rules::parse(&config.principals)?, config.projects.clone());
        Ok(Voucher { named_by: config.named_by, rules, projects })
    }

    /// `None`: for none.
    pub fn vouched(&self, certificate: &Certificate) -> Option<Vouched> {
        let text = match self.named_by {
            NamedBy::Subject => Some(&certificate.subject),
            NamedBy::DnsName => certificate.dns_names.first(),
            NamedBy::Email => certificate.emails.first(),
            NamedBy::Uri => certificate.uris.first(),
        };
        let name = self.rules.name(text?)?;
        Some(Vouched { name, projects: self.projects.clone(), ends_at: certificate.ends_at })
    }
}

/// Lets a client in by what stands for a key: a certificate, or a ticket.
///
/// # Errors
/// When the key does not count.
pub async fn by_voucher(
    hub: &dyn Hub,
    peer: &Peer,
    vouched: &Vouched,
) -> Result<Identity, Refusal> {
    let challenges = hub.challenges().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this server lets nobody in for whom others vouch")
    })?;
    challenges.vouched(peer, vouched).await
}

/// By what a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A key, a token of the project, or a certificate or a ticket that stands for a key.
    Credential,
    DelegationToken,
}

/// Whom a client's messages are judged for.
pub struct Stranger<'a> {
    pub hub: &'a dyn Hub,
    pub peer: &'a Peer,
    /// Whether delegation tokens count here.
    pub tokens: Tokens,
    /// The tickets that count here, if they do.
    pub tickets: Option<&'a Tickets>,
    pub now: TimestampMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    Count,
    DoNot,
}

/// A sign-in half way.
pub enum Asked {
    Proof(scram::Asked),
    Ticket(Exchange),
}

/// Where a message has led to.
pub enum Step {
    /// The client is sent this and has to answer it.
    Asked(Asked, Bytes),
    /// The client is known, and is sent this.
    Known(Identity, Means, Bytes),
}

/// Takes a client's next message. `asked` is what it was asked before, if it was.
///
/// # Errors
/// When the client is not let in, or it cannot be said now whether it is.
pub async fn step(
    stranger: &Stranger<'_>,
    mechanism: Mechanism,
    asked: Option<Asked>,
    message: &[u8],
) -> Result<Step, Refusal> {
    let Stranger { hub, peer, tokens, now, .. } = *stranger;
    let digest = match mechanism {
        Mechanism::Plain | Mechanism::OauthBearer => {
            let shown = mechanism.credential(message)?;
            let who = show(hub, peer, shown).await?;
            return Ok(Step::Known(who, Means::Credential, Bytes::new()));
        }
        Mechanism::ScramSha256 => Digest::Sha256,
        Mechanism::ScramSha512 => Digest::Sha512,
        Mechanism::Gssapi => return by_ticket(stranger, asked, message).await,
    };
    let challenges = hub.challenges().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this server takes keys only when they are shown")
            .hint("use SASL PLAIN over TLS")
    })?;
    match asked {
        Some(Asked::Ticket(_)) => Err(told(mechanism, Bad::Form)),
        None => ask(challenges, tokens, message).await,
        Some(Asked::Proof(asked)) => {
            let is_by_token = asked.is_by_token;
            let response = asked.read(digest, message).map_err(|bad| told(mechanism, bad))?;
            if is_by_token {
                let proof = (&response, now);
                let (who, last) = tokens::sign_in(hub, challenges, peer, proof).await?;
                let last = scram::server_final(&last).into();
                return Ok(Step::Known(who, Means::DelegationToken, last));
            }
            let Confirmed { who, signature } = challenges.respond(peer, &response).await?;
            let last = scram::server_final(&signature).into();
            Ok(Step::Known(who, Means::Credential, last))
        }
    }
}

async fn ask(challenges: &dyn Challenges, tokens: Tokens, message: &[u8]) -> Result<Step, Refusal> {
    let first = ClientFirst::read(message).map_err(|bad| told(Mechanism::ScramSha256, bad))?;
    if first.is_by_token && tokens == Tokens::DoNot {
        let message = "delegation tokens are not given out here";
        return Err(Refusal::new(Code::InvalidToken, message)
            .hint("use SASL OAUTHBEARER with a token of the project"));
    }
    let challenge = challenges.challenge(&first.user).await?;
    let (asked, question) = first.ask(&challenge);
    Ok(Step::Asked(Asked::Proof(asked), question.into()))
}

async fn by_ticket(
    stranger: &Stranger<'_>,
    asked: Option<Asked>,
    message: &[u8],
) -> Result<Step, Refusal> {
    let Stranger { hub, peer, now, .. } = *stranger;
    let tickets = stranger.tickets.ok_or_else(|| {
        Refusal::new(Code::Unsupported, "no tickets of Kerberos count on this listener")
    })?;
    let asked = match asked {
        Some(Asked::Ticket(exchange)) => Some(exchange),
        Some(Asked::Proof(_)) | None => None,
    };
    match tickets.take(peer, asked, message).await? {
        Turn::Asked(exchange, question) => {
            Ok(Step::Asked(Asked::Ticket(exchange), question.into()))
        }
        Turn::Shown(shown) => {
            let vouched = tickets.vouched(peer, &shown, now)?;
            let who = by_voucher(hub, peer, &vouched).await?;
            Ok(Step::Known(who, Means::Credential, Bytes::new()))
        }
    }
}

async fn show(hub: &dyn Hub, peer: &Peer, shown: Presented) -> Result<Identity, Refusal> {
    let who = hub.authenticate(peer, &shown.credential).await?;
    let of_key = who.claims().key.map(|key| key.to_string());
    if shown.key.is_some() && shown.key != of_key {
        let message = "the user is not the id of the key that is the password";
        return Err(Refusal::new(Code::InvalidApiKey, message)
            .hint("use the key's id, or `token` with a token as the password"));
    }
    if let Some(challenges) = hub.challenges() {
        challenges.learn(&who, &shown.credential).await?;
    }
    Ok(who)
}

fn told(mechanism: Mechanism, bad: Bad) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("SASL {}: {bad}", mechanism.name()))
}
