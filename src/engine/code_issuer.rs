//! Issuing codes: everything between a destination's locked row and the woken delivery worker.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{CodeLength, Core, PumpingGuard};
use crate::{
    codes::{CodeKey, CodeStore, LiveCode},
    crypto::Keyring,
    domain::{
        Address, AppHash, AuditKind, AuditLine, Channel, Client, CodeMessage, CodePolicy, DeliveryState,
        DestinationRecord, Holder, IssuedCode, KNOWN_FOR, MessagePayload, OneTimeCode, Origin, Purpose, Quota,
        RateLimit, Reach, Registration, SignUp, TakenIdentifier, TestIdentities, Timestamp, Verification, Way, hex,
        message_owner,
    },
    error::{Error, ExceededLimit},
    metrics,
    store::{PendingState, QueuedMessage, Reader, StoreError, Tx},
    telemetry,
};

/// The policies of codes, and how often they are sent.
#[derive(Debug, Clone)]
pub struct CodeSettings {
    /// Registration by SMS.
    pub registration_sms: CodePolicy,
    /// Registration by email.
    pub registration_email: CodePolicy,
    /// Login.
    pub login: CodePolicy,
    /// Password reset.
    pub password_reset: CodePolicy,
    /// Change of the email or mobile.
    pub contact_change: CodePolicy,
    /// The pause between two codes for one destination and purpose.
    pub resend_after: Duration,
    /// The limit of codes for one destination.
    pub sends_per_destination: RateLimit,
    /// The addresses whose code is known beforehand.
    pub test_identities: TestIdentities,
    /// Whether nothing may tell who has an account.
    pub conceal_accounts: bool,
}

impl CodeSettings {
    /// The policy of a purpose and channel.
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

/// Issues codes.
#[derive(Clone)]
pub struct CodeIssuer {
    pub(crate) core: Core,
    pub(crate) codes: Arc<dyn CodeStore>,
    /// Counts what is sent.
    pub(crate) guard: PumpingGuard,
    /// How long they are.
    pub(crate) length: CodeLength,
    /// Wakes the delivery worker.
    pub(crate) wake: Arc<Notify>,
    pub(crate) settings: CodeSettings,
}

/// A code to be issued.
pub(crate) struct NewCode<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) destination: &'a Address,
    pub(crate) verification_id: Uuid,
    /// The number of the verification's code: the first one creates its row.
    pub(crate) generation: i64,
    /// For a phantom the same rows are written, and no code is right.
    pub(crate) holder: Holder,
    /// SHA-256 of the login id beside the address.
    pub(crate) login_id_hash: Option<Vec<u8>>,
    /// The person's language, if it is known.
    pub(crate) locale: Option<String>,
    /// The Android app that asks for it.
    pub(crate) app_hash: Option<AppHash>,
    /// Of a login code that may make an account.
    pub(crate) sign_up: Option<SignUp>,
}

impl<'a> NewCode<'a> {
    fn way(&self) -> Way<'_> {
        Way { purpose: self.purpose, destination: self.destination, login_id_hash: self.login_id_hash.as_deref() }
    }

    pub(crate) fn registration(
        registration: &'a Registration,
        destination: &'a Address,
        generation: i64,
        holder: Holder,
    ) -> Self {
        let first = Self::first(Purpose::Registration, destination, registration.verification_id, holder);
        Self { generation, locale: registration.locale.clone(), ..first }
    }

    /// Asked for by this Android app.
    pub(crate) fn for_app(self, app_hash: Option<AppHash>) -> Self {
        Self { app_hash, ..self }
    }

    /// The first one of a verification.
    pub(crate) fn first(purpose: Purpose, destination: &'a Address, verification_id: Uuid, holder: Holder) -> Self {
        Self {
            purpose,
            destination,
            verification_id,
            generation: 1,
            holder,
            login_id_hash: None,
            locale: None,
            app_hash: None,
            sign_up: None,
        }
    }
}

/// The policy of codes to one destination.
const DESTINATION_SENDS: &str = "destination-sends";

/// The relation of a caller to the account that a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Anybody.
    Stranger,
    /// Somebody at a network that opened a session of the account: a few more codes are sent.
    Known,
}

/// A code whose transaction is not committed yet, or that is not live yet.
pub(crate) struct InactiveCode {
    live: LiveCode,
    issued: IssuedCode,
    issued_at: Timestamp,
    reach: Reach,
}

impl CodeIssuer {
    /// Locks the record of the way, which orders all codes that are asked for so. The time is read once the lock is
    /// held.
    pub(crate) async fn lock(&self, tx: &mut Tx, way: Way<'_>) -> Result<(DestinationRecord, Timestamp), StoreError> {
        let mut record = tx.lock_destination(way, self.core.now()).await?;
        if record.history.settle(self.core.now()) {
            // Kept whatever comes of this request: else every one would begin the pause anew.
            tx.replace_history(way, &record, self.core.now())?;
            tx.restart().await?;
            record = tx.lock_destination(way, self.core.now()).await?;
        }
        Ok((record, self.core.now()))
    }

    /// Reads all that a code for a registration is judged by. At the first try nothing is locked or begun: the commit
    /// needs the record as it was read. At a second one the lock orders those who came at once.
    pub(crate) async fn read_pending(
        &self,
        way: Way<'_>,
        is_locked: bool,
        read: impl AsyncFnOnce(&mut Reader, Timestamp) -> Result<PendingState, StoreError>,
    ) -> Result<(Option<Tx>, PendingState, Timestamp), Error> {
        if !is_locked {
            let now = self.core.now();
            let mut state = read(&mut self.core.store.read().await?, now).await?;
            let is_settled = !state.destination.history.settle(now); // under the lock it is
            return if is_settled { Ok((None, state, now)) } else { Err(Error::Conflict) };
        }
        let mut tx = self.core.store.begin().await?;
        let (_, now) = self.lock(&mut tx, way).await?;
        let state = read(&mut tx, now).await?;
        Ok((Some(tx), state, now))
    }

    /// The transaction that is begun, or a new one.
    pub(crate) async fn begun(&self, locked: Option<Tx>) -> Result<Tx, StoreError> {
        match locked {
            Some(tx) => Ok(tx),
            None => self.core.store.begin().await,
        }
    }

    /// Begins the transaction that issues a code, unless it comes too soon: then, mostly, by a look at the row alone,
    /// which keeps nobody waiting and writes nothing.
    pub(crate) async fn begin(
        &self,
        way: Way<'_>,
        caller: Caller,
    ) -> Result<(Tx, DestinationRecord, Timestamp), Error> {
        let mut record = self.core.store.read().await?.destination(&way.record_key()).await?;
        let now = self.core.now();
        let is_settled = !record.history.settle(now); // times in the future are settled under the lock
        if is_settled {
            self.check_cooldown(&record, way.purpose, caller, now)?;
        }
        let mut tx = self.core.store.begin().await?;
        let (record, now) = self.lock(&mut tx, way).await?;
        self.check_cooldown(&record, way.purpose, caller, now)?;
        Ok((tx, record, now))
    }

    /// Refuses a code too soon after the last one, or one too many for the destination.
    pub(crate) fn check_cooldown(
        &self,
        destination: &DestinationRecord,
        purpose: Purpose,
        caller: Caller,
        now: Timestamp,
    ) -> Result<(), Error> {
        let CodeSettings { resend_after, sends_per_destination: limit, .. } = &self.settings;
        let eased = limit.for_known();
        let limit = if caller == Caller::Known { &eased } else { limit };
        let next = destination.history.next_send(purpose, *resend_after, limit, now);
        let Some((quota, allowed_at)) = next else { return Ok(()) };
        let (policy, quota) = match quota {
            Some(quota) => (DESTINATION_SENDS, quota),
            None => ("resend", Quota::new(1, self.settings.resend_after)),
        };
        Err(Error::TooManyRequests(ExceededLimit { policy, quota, retry_after: allowed_at.after(now) }))
    }

    /// How long until the next code may be requested.
    pub(crate) fn resend_in(&self, destination: &DestinationRecord, purpose: Purpose, now: Timestamp) -> Duration {
        let CodeSettings { resend_after, sends_per_destination, .. } = &self.settings;
        let next = destination.history.next_send(purpose, *resend_after, sends_per_destination, now);
        next.map_or(Duration::ZERO, |(_, allowed_at)| allowed_at.after(now))
    }

    /// Whether a refused caller is known to the account after all: a session of it was opened from its network. Where
    /// accounts are concealed nobody is, for it would tell.
    pub(crate) async fn is_known(
        &self,
        reader: &mut Reader,
        refusal: &Error,
        user: Option<Uuid>,
        client: &Client,
    ) -> Result<bool, StoreError> {
        let Error::TooManyRequests(exceeded) = refusal else { return Ok(false) };
        if exceeded.policy != DESTINATION_SENDS || self.settings.conceal_accounts {
            return Ok(false);
        }
        let user = user.unwrap_or_default(); // nobody's is looked for alike
        let since = self.core.now().minus(KNOWN_FOR);
        reader.knows_network(user, &client.site_hash(user), since).await
    }

    /// Writes the send, the verification and the message; the caller has checked the cooldown, and commits.
    pub(crate) fn issue(
        &self,
        tx: &mut Tx,
        record: &mut DestinationRecord,
        new: &NewCode<'_>,
        client: &Client,
        now: Timestamp,
    ) -> Result<InactiveCode, StoreError> {
        log_verification(new.verification_id);
        if self.settings.test_identities.code(new.destination, now).is_none() {
            record.history.record_send(new.purpose, now);
        }
        tx.replace_history(new.way(), record, now)?;
        let verification = self.write_verification(tx, new, now)?;
        let message = self.write_message(tx, &verification, new, now)?;
        tx.append_audit(&[issued_line(&verification, client, now)])?;
        let mut live = live_code(&message, &self.core.keyring);
        live.asked_from = Some(client.ip);
        if verification.holder == Holder::Phantom {
            live.mac = hex(&self.core.random.bytes::<32>());
            live.phantom = true;
        }
        let issued = self.issued(&verification, record, now);
        Ok(InactiveCode { live, issued, issued_at: verification.issued_at, reach: verification.reach() })
    }

    fn write_verification(&self, tx: &mut Tx, new: &NewCode<'_>, now: Timestamp) -> Result<Verification, StoreError> {
        let policy = self.settings.policy(new.purpose, new.destination.channel());
        let verification = Verification {
            id: new.verification_id,
            generation: new.generation,
            purpose: new.purpose,
            destination: new.destination.clone(),
            digits: self.digits(new.purpose, new.destination, now),
            tries: policy.tries,
            state: DeliveryState::Queued,
            changed_at: now,
            issued_at: now,
            expires_at: now.plus(policy.ttl),
            holder: new.holder,
            login_id_hash: new.login_id_hash.clone(),
            sign_up: new.sign_up.clone(),
        };
        if new.generation == 1 {
            tx.insert_verification(&verification)?;
        } else {
            tx.renew_verification(&verification)?;
        }
        Ok(verification)
    }

    fn write_message(
        &self,
        tx: &mut Tx,
        verification: &Verification,
        new: &NewCode<'_>,
        now: Timestamp,
    ) -> Result<CodeMessage, StoreError> {
        let Core { random, keyring, .. } = &self.core;
        let message = CodeMessage {
            to: verification.destination.clone(),
            purpose: verification.purpose,
            code: self.draw(verification, now).expose().to_owned(),
            verification_id: verification.id,
            generation: verification.generation,
            tries: verification.tries,
            ttl_s: verification.expires_at.after(now).as_secs(),
            expires_at: verification.expires_at,
            locale: new.locale.clone(),
            login_id_hash: verification.login_id_hash.clone(),
            app_hash: new.app_hash.clone(),
        };
        let payload = MessagePayload::Code(message.clone());
        let generation = Some((verification.id, verification.generation));
        let queued = QueuedMessage {
            verification: generation,
            phantom: verification.holder == Holder::Phantom,
            user: verification.holder.account(),
            destination: verification.destination.masked(),
            body: keyring.seal(&message_owner(generation), &payload.to_json(), &**random),
            deadline: verification.expires_at,
            traceparent: telemetry::traceparent(),
        };
        tx.enqueue(&queued, now)?;
        Ok(message)
    }

    /// The digits of a code that is issued now.
    pub(crate) fn digits(&self, purpose: Purpose, destination: &Address, now: Timestamp) -> u32 {
        match self.settings.test_identities.code(destination, now) {
            Some(code) => code.digits(),
            None => self.length.digits(purpose, self.settings.policy(purpose, destination.channel()).digits, now),
        }
    }

    fn draw(&self, verification: &Verification, now: Timestamp) -> OneTimeCode {
        let known = self.settings.test_identities.code(&verification.destination, now);
        known.cloned().unwrap_or_else(|| OneTimeCode::generate(&*self.core.random, verification.digits))
    }

    /// The holder of a code for a registration: nobody, where an account has proven the address and nothing may tell
    /// so.
    ///
    /// # Errors
    ///
    /// [`Error::AccountExists`] where it may be told.
    pub(crate) fn registration_holder(&self, taken: Option<TakenIdentifier>) -> Result<Holder, Error> {
        match taken {
            None => Ok(Holder::Registration),
            Some(_) if self.settings.conceal_accounts => Ok(Holder::Phantom),
            Some(taken) => Err(Error::taken(taken)),
        }
    }

    /// The code of a verification, as its owner is told of it.
    pub(crate) fn issued(
        &self,
        verification: &Verification,
        destination: &DestinationRecord,
        now: Timestamp,
    ) -> IssuedCode {
        IssuedCode {
            verification_id: verification.id,
            purpose: verification.purpose,
            destination: verification.destination.clone(),
            expires_in: verification.expires_at.after(now),
            resend_in: self.resend_in(destination, verification.purpose, now),
            code_length: verification.digits,
        }
    }

    /// Makes a committed code live and wakes the delivery worker, which sends it even if this fails.
    pub(crate) async fn activate(&self, code: InactiveCode) -> Result<IssuedCode, Error> {
        self.guard.sent(code.reach, &code.issued.destination, code.issued_at);
        let put = self.codes.put(&code.live, self.core.now()).await;
        self.wake.notify_one();
        put?;
        let IssuedCode { purpose, destination, .. } = &code.issued;
        metrics::code(purpose.as_str(), destination.channel().as_str(), "issued");
        Ok(code.issued)
    }
}

/// Joins the line of the request in the log with those of the message.
pub(crate) fn log_verification(id: Uuid) {
    tracing::Span::current().record("verification_id", tracing::field::display(id));
}

fn issued_line(verification: &Verification, client: &Client, now: Timestamp) -> AuditLine {
    let origin = Origin::client(client).about(&verification.destination);
    AuditLine {
        user_id: verification.holder.account(),
        verification_id: Some(verification.id),
        ..AuditLine::new(AuditKind::CodeIssued, verification.purpose.as_str(), origin, now)
    }
}

/// A code on its way, as the code store has it.
pub fn live_code(message: &CodeMessage, keyring: &Keyring) -> LiveCode {
    let macs = OneTimeCode::parse(&message.code)
        .map(|code| {
            keyring.code_macs(message.purpose, &message.to, (message.verification_id, message.generation), &code)
        })
        .unwrap_or_default();
    LiveCode {
        key: CodeKey {
            destination: message.way().record_key(),
            purpose: message.purpose,
            verification: message.verification_id,
        },
        generation: message.generation,
        mac: macs.into_iter().next().unwrap_or_default(),
        phantom: false,
        asked_from: None,
        tries: message.tries,
        expires_at: message.expires_at,
    }
}
