//! Answering the same request once, however often it comes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    codes::{AnswerStore, Begun, KeyedRequest},
    domain::{Client, Timestamp, hex, sha256},
    engine::Core,
    error::Error,
};

/// Answers the same request once (draft-ietf-httpapi-idempotency-key-header).
#[derive(Clone)]
pub struct IdempotencyService {
    pub(crate) core: Core,
    pub(crate) answers: Arc<dyn AnswerStore>,
}

/// The client's name for its request, and the call and body that it stands for.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The path of the call.
    pub call: String,
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    at: Timestamp,
    body: Value,
}

impl IdempotencyService {
    /// The answer of a request, or the one that it had before. Only an answer that is no error is kept. A key means the
    /// same request for one call, destination and client alone: a guessed one gives nobody another's answer.
    ///
    /// # Errors
    ///
    /// [`Error::KeyReused`] with another body, [`Error::InProgress`] while the same request runs.
    pub async fn once(
        &self,
        key: Option<RequestKey>,
        destination: &str,
        client: &Client,
        answer: impl Future<Output = Result<Value, Error>>,
    ) -> Result<Value, Error> {
        let Some(key) = key else { return answer.await };
        let request = self.request(&key, destination, client);
        match self.answers.begin(&request, self.core.now()).await? {
            Begun::New => {}
            Begun::Running => return Err(Error::InProgress),
            Begun::AnotherBody => return Err(Error::KeyReused),
            Begun::Answered(sealed) => return self.kept(&request, &sealed),
        }
        let answer = answer.await;
        let sealed = answer.as_ref().ok().map(|body| self.seal(&request, body));
        if let Err(error) = self.answers.end(&request, sealed.as_deref(), self.core.now()).await {
            tracing::warn!(%error, "an answer is not kept");
        }
        answer
    }

    fn request(&self, key: &RequestKey, destination: &str, client: &Client) -> KeyedRequest {
        let parts = [&key.call, &key.key, destination, &client.network()];
        // With its length before it, no part runs into the next.
        let parts = parts.map(|part| format!("{}:{part}", part.len())).concat();
        KeyedRequest {
            name: hex(&sha256(parts.as_bytes())),
            fingerprint: hex(&key.fingerprint),
            id: hex(&self.core.random.bytes::<8>()),
        }
    }

    fn seal(&self, request: &KeyedRequest, body: &Value) -> Vec<u8> {
        let kept = KeptAnswer { at: self.core.now(), body: body.clone() };
        let json = serde_json::to_vec(&kept).expect("an answer is JSON");
        self.core.keyring.seal(&owner(request), &json, &*self.core.random)
    }

    fn kept(&self, request: &KeyedRequest, sealed: &[u8]) -> Result<Value, Error> {
        let unreadable = || Error::Internal(anyhow::anyhow!("a kept answer cannot be opened"));
        let json = self.core.keyring.open(&owner(request), sealed).ok_or_else(unreadable)?;
        let mut kept: KeptAnswer = serde_json::from_slice(&json).map_err(|error| Error::Internal(error.into()))?;
        count_down(&mut kept.body, self.core.now().after(kept.at).as_secs());
        Ok(kept.body)
    }
}

fn owner(request: &KeyedRequest) -> String {
    format!("answer:{}", request.name)
}

/// Takes the seconds that have passed off every time that is still to go.
fn count_down(body: &mut Value, passed: u64) {
    let Value::Object(object) = body else { return };
    for (name, value) in object {
        match value.as_u64() {
            Some(left) if name.ends_with("_in") => *value = left.saturating_sub(passed).into(),
            _ => count_down(value, passed),
        }
    }
}
