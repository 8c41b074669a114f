//! The owner of an access token, in the dialect's words.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::errors::{GotrueCode, Refusal};
use crate::{
    domain::Client,
    engine::Actor,
    error::Error,
    http::{
        Api,
        extract::{auth::bearer_token, client_ip::RequestClient},
    },
};

/// The owner of the access token, and the token: a call that changes the account reads it anew by it.
pub(super) struct Person {
    pub(super) actor: Actor,
    token: String,
}

impl Person {
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The account as it stands now.
    pub(super) async fn reread(&mut self, api: &Api) -> Result<(), Refusal> {
        self.actor = actor(api, &self.token, &self.actor.client).await?;
        Ok(())
    }
}

impl FromRequestParts<Api> for Person {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let token = token_of(&parts.headers)?;
        let RequestClient(client) = RequestClient::from_request_parts(parts, api).await?;
        Ok(Self { actor: actor(api, &token, &client).await?, token })
    }
}

fn token_of(headers: &HeaderMap) -> Result<String, Refusal> {
    bearer_token(headers).filter(|token| !token.is_empty()).map(str::to_owned).ok_or_else(|| Error::MissingToken.into())
}

async fn actor(api: &Api, token: &str, client: &Client) -> Result<Actor, Refusal> {
    let sessions = &api.gotrue.sessions;
    let (user, session) = sessions.authenticate(token).await.map_err(|error| match error {
        Error::InvalidToken if sessions.is_signed(token) => Refusal::named(GotrueCode::SessionNotFound, error),
        other => other.into(),
    })?;
    Ok(Actor { user, session, client: client.clone() })
}
