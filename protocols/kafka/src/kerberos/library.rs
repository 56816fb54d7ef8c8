//! Tickets as MIT Kerberos judges them, by `libgssapi`, whose calls are safe ones. The keytab is
//! the process's (`KRB5_KTNAME`): the library has no safe call that takes one.

use super::Service;
use super::exchange::{Client, Context, Failed};
use super::settings::Kerberos;
use libgssapi::context::{CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_HOSTBASED_SERVICE, GSS_NT_USER_NAME, OidSet};
use port::{Code, Refusal};

/// What proves that this server is the service.
struct Acceptor {
    key: Cred,
    realm: Option<String>,
}

struct Accepting(ServerCtx);

/// # Errors
/// None: tickets can be judged in this build.
pub fn is_here() -> Result<(), Refusal> {
    Ok(())
}

/// # Errors
/// When the keytab has no key of the service.
pub fn open(settings: &Kerberos) -> Result<Box<dyn Service>, Refusal> {
    let service = settings.service();
    match key_of(&service) {
        Ok(key) => Ok(Box::new(Acceptor { key, realm: own_realm() })),
        Err(error) => {
            let message = format!(
                "Kerberos has no key of the service `{service}`: {}; the environment variable \
                 KRB5_KTNAME names its keytab",
                failed(error)
            );
            Err(Refusal::new(Code::InvalidRequest, message).field("kerberos"))
        }
    }
}

/// Of Kerberos only: no other mechanism of the library is let in by it.
fn key_of(service: &str) -> Result<Cred, Error> {
    let mut mechanisms = OidSet::new();
    mechanisms.add(GSS_MECH_KRB5)?;
    let name = Name::new(service.as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE))?;
    Cred::acquire(Some(&name), None, CredUsage::Accept, Some(&mechanisms))
}

/// The realm that this machine's Kerberos gives to a name without one.
fn own_realm() -> Option<String> {
    let name = Name::new(b"nobody", Some(GSS_NT_USER_NAME)).ok()?;
    let written = name.canonicalize(Some(GSS_MECH_KRB5)).ok()?.display_name().ok()?;
    let (_, realm) = std::str::from_utf8(&written).ok()?.split_once('@')?;
    Some(realm.to_owned())
}

impl Service for Acceptor {
    fn begin(&self) -> Box<dyn Context> {
        Box::new(Accepting(ServerCtx::new(Some(self.key.clone()))))
    }

    fn realm(&self) -> Option<&str> {
        self.realm.as_deref()
    }
}

/// The library knows its messages on the thread on which the call failed only.
fn failed(error: Error) -> Failed {
    Failed(error.to_string().trim().to_owned())
}

impl Context for Accepting {
    fn accept(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
        let answer = self.0.step(token, None).map_err(failed)?;
        Ok(answer.map(|answer| answer.to_vec()))
    }

    fn is_established(&self) -> bool {
        self.0.is_complete()
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed> {
        self.0.wrap(false, message).map(|wrapped| wrapped.to_vec()).map_err(failed)
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed> {
        self.0.unwrap(message).map(|message| message.to_vec()).map_err(failed)
    }

    fn client(&self) -> Result<Client, Failed> {
        if self.0.flags().map_err(failed)?.contains(CtxFlags::GSS_C_ANON_FLAG) {
            return Err(Failed("the ticket is of nobody".to_owned()));
        }
        let name = self.0.source_name().and_then(|name| name.display_name()).map_err(failed)?;
        let principal = std::str::from_utf8(&name)
            .map_err(|_| Failed("the principal is no text".to_owned()))?
            .to_owned();
        let lifetime = self.0.lifetime().map_err(failed)?;
        Ok(Client { principal, lifetime })
    }
}
