use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    codes::{CodeKey, CodeStore, LiveCode},
    crypto::{Keyring, hex, sha256},
    domain::{
        Address, Channel, Clock, CodeMessage, CodePolicy, DeliveryState, Holder, IssuedCode, OneTimeCode, Outgoing,
        Purpose, Random, Registration, Send, Timestamp, Verification, Window, Windows,
    },
    error::{Error, Refused},
    store::{Destination, NewMessage, StoreError, Tx},
};

/// How codes are made and how often they are sent.
#[derive(Debug, Clone)]
pub struct CodeSettings {
    pub registration_sms: CodePolicy,
    pub registration_email: CodePolicy,
    pub login: CodePolicy,
    pub password_reset: CodePolicy,
    pub contact_change: CodePolicy,
    pub resend_after: Duration,
    pub sends_per_destination: Windows,
}

impl CodeSettings {
    pub fn policy(&self, purpose: Purpose, channel: Channel) -> CodePolicy {
        match (purpose, channel) {
            (Purpose::Registration, Channel::Sms) => self.registration_sms,
            (Purpose::Registration, Channel::Email) => self.registration_email,
            (Purpose::Login, _) => self.login,
            (Purpose::PasswordReset, _) => self.password_reset,
            (Purpose::ContactChange, _) => self.contact_change,
        }
    }
}

/// Issues codes: everything between a destination's locked row and the woken worker.
#[derive(Clone)]
pub struct Issuer {
    pub codes: Arc<dyn CodeStore>,
    pub keyring: Keyring,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Wakes the delivery worker.
    pub wake: Arc<Notify>,
    pub settings: CodeSettings,
}

/// What is to be proven by a new code.
pub(crate) struct NewCode<'a> {
    pub purpose: Purpose,
    pub destination: &'a Address,
    pub verification: Uuid,
    /// The verification's first code: its row is made.
    pub first: bool,
    /// For nobody: the same rows are written, and no guess is right.
    pub holder: Holder,
    /// SHA-256 of the login id beside the address.
    pub asked_with: Option<Vec<u8>>,
    /// The person's, where it is known.
    pub locale: Option<String>,
}

impl<'a> NewCode<'a> {
    pub(crate) fn registration(registration: &'a Registration, first: bool) -> Self {
        Self {
            purpose: Purpose::Registration,
            destination: &registration.destination,
            verification: registration.verification_id,
            first,
            holder: Holder::Registration,
            asked_with: None,
            locale: registration.locale.clone(),
        }
    }

    pub(crate) fn phantom(purpose: Purpose, destination: &'a Address, verification: Uuid) -> Self {
        Self { purpose, destination, verification, first: true, holder: Holder::Nobody, asked_with: None, locale: None }
    }
}

/// Issued in a transaction that is not committed yet.
pub(crate) struct Unpublished {
    live: LiveCode,
    issued: IssuedCode,
}

impl Issuer {
    /// Orders this issue among all for the address; the time is told once the lock is had.
    pub(crate) async fn lock(&self, tx: &mut Tx, key: &str) -> Result<(Destination, Timestamp), StoreError> {
        let destination = tx.lock_destination(&sha256(key.as_bytes()), self.clock.now()).await?;
        Ok((destination, self.clock.now()))
    }

    /// Refuses what comes too soon after the last code, or is one too many for the destination.
    pub(crate) fn admit(&self, destination: &Destination, purpose: Purpose, now: Timestamp) -> Result<(), Error> {
        let Some((window, opens)) = self.closed(destination, purpose, now) else { return Ok(()) };
        let (policy, quota, window) = match window {
            Some(window) => ("destination-sends", window.count, Duration::from_millis(window.millis.unsigned_abs())),
            None => ("resend", 1, self.settings.resend_after),
        };
        Err(Error::TooManyRequests(Refused { policy, quota, window, retry_after: opens.after(now) }))
    }

    /// How long until the next code may be asked for.
    pub(crate) fn resend_in(&self, destination: &Destination, purpose: Purpose, now: Timestamp) -> Duration {
        self.closed(destination, purpose, now).map_or(Duration::ZERO, |(_, opens)| opens.after(now))
    }

    fn closed(&self, to: &Destination, purpose: Purpose, now: Timestamp) -> Option<(Option<Window>, Timestamp)> {
        let CodeSettings { resend_after, sends_per_destination, .. } = &self.settings;
        to.history.next_send(purpose, *resend_after, sends_per_destination, now)
    }

    /// Writes the send, the verification and the message; the caller has admitted it, and commits.
    pub(crate) async fn issue(
        &self,
        tx: &mut Tx,
        destination: &mut Destination,
        new: &NewCode<'_>,
        now: Timestamp,
    ) -> Result<Unpublished, StoreError> {
        let hash = sha256(new.destination.key().as_bytes());
        let policy = self.settings.policy(new.purpose, new.destination.channel());
        destination.history.record_send(Send { purpose: new.purpose, at: now });
        tx.write_history(&hash, &destination.history).await?;
        let mut verification = Verification {
            id: new.verification,
            issue: 1,
            purpose: new.purpose,
            destination: new.destination.clone(),
            digits: policy.digits,
            tries: policy.tries,
            state: DeliveryState::Queued,
            changed_at: now,
            issued_at: now,
            expires_at: now.plus(policy.ttl),
            holder: new.holder,
            asked_with: new.asked_with.clone(),
        };
        let phantom = new.holder == Holder::Nobody;
        if new.first {
            tx.insert_verification(&verification, &hash).await?;
        } else {
            verification.issue = tx.reissue_verification(&verification).await?.ok_or(StoreError::Lost)?;
        }
        let code = OneTimeCode::generate(&*self.random, policy.digits);
        let message = CodeMessage {
            to: new.destination.as_str().to_owned(),
            channel: new.destination.channel(),
            purpose: new.purpose,
            code: code.expose().to_owned(),
            verification: verification.id,
            issue: verification.issue,
            tries: policy.tries,
            destination_hash: hex(&hash),
            destination: new.destination.key(),
            ttl_s: policy.ttl.as_secs(),
            expires_at: verification.expires_at.micros(),
            locale: new.locale.clone(),
        };
        let mut live = live_code(&message, &self.keyring);
        let outgoing = Outgoing::Code(message);
        let queued = NewMessage {
            verification: Some((verification.id, verification.issue)),
            void: phantom,
            user: match new.holder {
                Holder::Account { id, .. } => Some(id),
                Holder::Registration | Holder::Nobody => None,
            },
            body: self.keyring.seal(&outgoing.to_json(), &*self.random),
            deadline: verification.expires_at,
        };
        tx.enqueue(&queued, now).await?;
        if phantom {
            live.mac = hex(&self.random.bytes::<32>());
        }
        Ok(Unpublished { live, issued: self.issued(&verification, destination, now) })
    }

    /// What the owner of a verification is told of its code.
    pub(crate) fn issued(&self, verification: &Verification, destination: &Destination, now: Timestamp) -> IssuedCode {
        IssuedCode {
            verification_id: verification.id,
            purpose: verification.purpose,
            destination: verification.destination.clone(),
            expires_in: verification.expires_at.after(now),
            resend_in: self.resend_in(destination, verification.purpose, now),
            code_length: verification.digits,
        }
    }

    /// Makes a committed code live and wakes the worker, which sends it even if this fails.
    pub(crate) async fn publish(&self, code: Unpublished) -> Result<IssuedCode, Error> {
        let put = self.codes.put(&code.live, self.clock.now()).await;
        self.wake.notify_one();
        put?;
        Ok(code.issued)
    }
}

/// The live form of a code on its way.
pub fn live_code(message: &CodeMessage, keyring: &Keyring) -> LiveCode {
    let macs = OneTimeCode::parse(&message.code)
        .map(|code| keyring.code_macs(message.purpose.as_str(), &message.destination, &code))
        .unwrap_or_default();
    LiveCode {
        key: CodeKey {
            destination: message.destination_hash.clone(),
            purpose: message.purpose,
            verification: message.verification,
        },
        issue: message.issue,
        mac: macs.into_iter().next().unwrap_or_default(),
        tries: message.tries,
        expires_at: Timestamp::from_micros(message.expires_at),
    }
}
