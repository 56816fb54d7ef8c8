//! Keys proven without being shown: `port::Challenges`. Whoever proves itself so is admitted and
//! noted as somebody who shows a key.

use crate::Node;
use port::{
    Answer, Challenge, Challenges, Confirmed, Credential, Identity, Peer, Response, TokenSecret,
    Vouched,
};

impl Challenges for Node {
    fn challenge<'a>(&'a self, name: &'a str) -> Answer<'a, Challenge> {
        Box::pin(self.authenticator.challenge(name))
    }

    fn respond<'a>(&'a self, peer: &'a Peer, response: &'a Response) -> Answer<'a, Confirmed> {
        Box::pin(async move {
            let (proven, signature) = match self.authenticator.respond(peer, response).await {
                Ok(Confirmed { who, signature }) => (Ok(who), signature),
                Err(refusal) => (Err(refusal), Vec::new()),
            };
            let who = self.let_in(peer, proven)?;
            Ok(Confirmed { who, signature })
        })
    }

    fn token_secret(&self, name: &str) -> Option<TokenSecret> {
        self.authenticator.token_secret(name)
    }

    fn respond_by_token<'a>(
        &'a self,
        peer: &'a Peer,
        response: &'a Response,
    ) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            let proven = self.authenticator.respond_by_token(peer, response).await;
            proven.inspect_err(|refusal| self.note_credential(peer, None, refusal))
        })
    }

    fn vouched<'a>(&'a self, peer: &'a Peer, vouched: &'a Vouched) -> Answer<'a, Identity> {
        Box::pin(async move {
            let proven = self.authenticator.vouched(peer, vouched).await;
            self.let_in(peer, proven)
        })
    }

    fn learn<'a>(&'a self, who: &'a Identity, shown: &'a Credential) -> Answer<'a, ()> {
        Box::pin(async move {
            self.authenticator.learn(who, shown).await;
            Ok(())
        })
    }
}
