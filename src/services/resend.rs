//! Sending a new code for a pending registration.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    domain::{Address, AppHash, Client, Holder, IssuedCode, Purpose, Reach, Registration, Way},
    engine::{
        Caller, CodeIssuer, Core, InactiveCode, NewCode, Pass, RateLimits, SendGate, VerificationRef,
        locked_on_conflict,
    },
    error::Error,
    store::{PendingState, Reader},
};

/// Sends new codes for pending registrations.
#[derive(Clone)]
pub struct ResendService {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    pub(crate) gate: SendGate,
    pub(crate) rate_limits: RateLimits,
    /// How long a registration outlives its last code's sending.
    pub(crate) registration_ttl: Duration,
}

/// A new code, and whether the caller supplied the id; it is returned only then.
#[derive(Debug, Clone)]
pub struct ResentCode {
    /// The code.
    pub code: IssuedCode,
    /// Whether the caller supplied the id.
    pub with_id: bool,
}

/// The registration that a new code is for.
enum Target {
    Registration {
        verification_id: Uuid,
        destination: Address,
        /// Without the id, nothing may tell whether a registration is pending.
        with_id: bool,
    },
    /// Nothing is pending at the address; the answer does not say so.
    Phantom(Address),
}

impl Target {
    fn destination(&self) -> &Address {
        let (Self::Phantom(destination) | Self::Registration { destination, .. }) = self;
        destination
    }
}

impl ResendService {
    /// Sends a new code; the old one is dead.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVerification`] for an id that belongs to no registration, or not to the address beside it;
    /// none for an address with nothing pending.
    pub async fn resend(
        &self,
        reference: VerificationRef,
        app_hash: Option<&AppHash>,
        solution: Option<&str>,
        client: &Client,
    ) -> Result<ResentCode, Error> {
        let mut pass = self.gate.enter(client, solution).await?.or_phantom();
        let written = async {
            // Only an id alone has to be looked up to know the address.
            if let Some(named) = &reference.address {
                pass.check(Reach::AnyAddress, named).await?;
            }
            self.issue(reference, app_hash, &mut pass, client).await
        };
        let written = written.await;
        pass.settle(&written).await;
        self.activate(written?).await
    }

    /// Sends a new code on a pass that the caller settles.
    pub(super) async fn issue(
        &self,
        reference: VerificationRef,
        app_hash: Option<&AppHash>,
        pass: &mut Pass<'_>,
        client: &Client,
    ) -> Result<(InactiveCode, bool), Error> {
        let with_id = reference.id.is_some();
        let target = self.target(reference, client).await?;
        pass.check(Reach::AnyAddress, target.destination()).await?;
        let written = Box::pin(locked_on_conflict(|is_locked| self.write(&target, app_hash, client, is_locked))).await;
        self.rate_limits.deferred.note(&written, target.destination(), client, self.core.now());
        written.map(|code| (code, with_id))
    }

    pub(super) async fn activate(&self, (code, with_id): (InactiveCode, bool)) -> Result<ResentCode, Error> {
        Ok(ResentCode { code: self.issuer.activate(code).await?, with_id })
    }

    async fn target(&self, reference: VerificationRef, client: &Client) -> Result<Target, Error> {
        let mut reader = self.core.store.read().await?;
        let (registration, with_id) = match (reference.id, reference.address) {
            (Some(id), address) => {
                let registration = reader.registration(id, self.core.now()).await?;
                let has_address = |registration: &Registration| {
                    address.is_none_or(|address| registration.identifiers.contains(&address))
                };
                (registration.filter(has_address).ok_or(Error::UnknownVerification)?, true)
            }
            (None, Some(address)) => {
                match VerificationRef::pending_at(&mut reader, &address, &self.issuer, client).await? {
                    Some(registration) => (registration, false),
                    None => return Ok(Target::Phantom(address)),
                }
            }
            (None, None) => return Err(Error::UnknownVerification),
        };
        let destination = registration.destination();
        Ok(Target::Registration { verification_id: registration.verification_id, destination, with_id })
    }

    async fn write(
        &self,
        target: &Target,
        app_hash: Option<&AppHash>,
        client: &Client,
        is_locked: bool,
    ) -> Result<InactiveCode, Error> {
        let destination = target.destination();
        let way = Way::new(Purpose::Registration, destination);
        let (id, with_id) = match target {
            Target::Phantom(_) => (self.core.random.secret_id(), false), // as much is looked for as for a registration
            Target::Registration { verification_id, with_id, .. } => (*verification_id, *with_id),
        };
        // Read again: another code may have been issued, or the account created.
        let read = async |reader: &mut Reader, now| reader.state_of_verification(way, id, now).await;
        let (locked, state, now) = self.issuer.read_pending(way, is_locked, read).await?;
        let PendingState { destination: mut record, taken, mut pending } = state;
        self.issuer.check_cooldown(&record, Purpose::Registration, Caller::Stranger, now)?;
        let pending = pending.pop();
        if pending.is_none() && with_id {
            return Err(Error::UnknownVerification);
        }
        let mut tx = self.issuer.begun(locked).await?;
        tx.extend_registration(id, pending.is_some(), now, now.plus(self.registration_ttl))?;
        let code = match &pending {
            None => NewCode::first(way.purpose, destination, self.core.random.secret_id(), Holder::Phantom),
            Some((registration, generation)) => {
                let holder = self.issuer.registration_holder(taken)?;
                NewCode::registration(registration, destination, generation + 1, holder)
            }
        };
        let code = code.for_app(app_hash.cloned());
        let code = self.issuer.issue(&mut tx, &mut record, &code, client, now)?;
        tx.commit().await?;
        Ok(code)
    }
}
