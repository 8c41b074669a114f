//! Changing and removing the email or the mobile of an account.

use uuid::Uuid;

use crate::{
    domain::{
        Address, Channel, ContactChange, EventKind, FieldCode, FieldError, Holder, IssuedCode, NoticeKind, OneTimeCode,
        Origin, Purpose, Reach, RegistrationRules, User, Verification, Way,
    },
    engine::{
        Actor, Caller, CodeChecker, CodeIssuer, Core, CurrentPassword, EventLog, Freshness, InactiveCode, NewCode,
        Notices, PasswordChecker, RateLimits, SendGate, Subject, once_on_conflict,
    },
    error::Error,
};

/// Replaces and removes an account's email or mobile; a new one counts only once its code proves it.
#[derive(Clone)]
pub struct ContactService {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    pub(crate) gate: SendGate,
    pub(crate) rules: RegistrationRules,
    pub(crate) checker: CodeChecker,
    pub(crate) passwords: PasswordChecker,
    pub(crate) rate_limits: RateLimits,
    pub(crate) notices: Notices,
    pub(crate) event_log: EventLog,
}

/// An account changes meanwhile; several times in a row hardly ever.
const TRIES: usize = 3;

impl ContactService {
    /// Sends a code to the new address, and informs the old one. One that the account holds unproven, or suspended, is
    /// proven in the same way.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the account's own proven address, [`Error::AccountExists`] for one that another
    /// account has proven. A wrong or missing current password as for [`ProfileService`](super::ProfileService),
    /// but any recent session is enough without it.
    pub async fn request(
        &self,
        actor: &Actor,
        new: &Address,
        current: &CurrentPassword,
        solution: Option<&str>,
    ) -> Result<IssuedCode, Error> {
        if actor.user.proven_address(new).is_some() {
            return Err(Error::field(FieldError::new(new.field(), FieldCode::Invalid, "is already verified")));
        }
        if let Address::Email(email) = new {
            self.rules.check_domain(email).map_err(Error::field)?;
        }
        let mut pass = self.gate.enter(&actor.client, solution).await?;
        let write = async {
            pass.check(Reach::AnyAddress, new).await?;
            Box::pin(self.passwords.check_current(actor, current, Freshness::Recent)).await?;
            let written = Box::pin(once_on_conflict(|| self.write(actor, new))).await;
            self.rate_limits.deferred.note(&written, new, &actor.client, self.core.now());
            written
        };
        let written = write.await;
        pass.settle(&written).await;
        self.issuer.activate(written?).await
    }

    async fn write(&self, actor: &Actor, new: &Address) -> Result<InactiveCode, Error> {
        let user = &actor.user;
        let mut tx = self.core.store.begin().await?;
        let notice = NoticeKind::ContactRequested;
        // Several records are locked in one order.
        let (before, after) = informed_addresses(user, new).into_iter().partition(|to| to.hash() < new.hash());
        let mut to = self.notices.due(&mut tx, notice, before).await?;
        let (mut record, now) = self.issuer.lock(&mut tx, Way::new(Purpose::ContactChange, new)).await?;
        to.extend(self.notices.due(&mut tx, notice, after).await?);
        let is_taken = tx.taken_identifier(&new.clone().into(), Some(user.id), now).await?;
        if let Some(taken) = is_taken.filter(|_| !self.issuer.settings.conceal_accounts) {
            return Err(Error::taken(taken));
        }
        let check = |caller| self.issuer.check_cooldown(&record, Purpose::ContactChange, caller, now);
        if let Err(refusal) = check(Caller::Stranger) {
            let is_known = self.issuer.is_known(&mut tx, &refusal, Some(user.id), &actor.client).await?;
            if is_known { check(Caller::Known)? } else { return Err(refusal) }
        }
        if !tx.lock_user(user.id).await? {
            return Err(Error::InvalidToken); // deleted meanwhile
        }
        let mut holder = Holder::Account { id: user.id, epoch: user.epoch };
        if is_taken.is_some() {
            holder = Holder::Phantom;
            self.notices.tell_registered(&mut tx, &mut record, new, now).await?;
        }
        let verification_id = self.core.random.secret_id();
        let code = NewCode::first(Purpose::ContactChange, new, verification_id, holder);
        let code = NewCode { locale: user.locale.clone(), ..code };
        let code = self.issuer.issue(&mut tx, &mut record, &code, &actor.client, now)?;
        tx.mark_asked_by(verification_id, actor.session, &actor.client.network_hash(), user.epoch).await?;
        self.notices.enqueue(&mut tx, user, &to, notice, Some(new), now)?;
        tx.commit().await?;
        Ok(code)
    }

    /// Makes the address the account's own. Its sessions stay, its other codes are dead.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is not valid now, or is another account's.
    /// [`Error::AccountExists`] if another account has proven the address meanwhile; the code stays valid.
    pub async fn verify(&self, actor: &Actor, id: Uuid, code: &OneTimeCode) -> Result<User, Error> {
        let challenge = self.core.store.read().await?.challenge(id, self.core.now()).await?;
        let is_own = |verification: &Verification| {
            let is_mine = [Some(actor.user.id), None].contains(&verification.holder.account()); // nobody's is as secret
            verification.purpose == Purpose::ContactChange && is_mine
        };
        let challenge = challenge.filter(|challenge| is_own(&challenge.verification));
        self.verify_subject(actor, Subject::owned(Purpose::ContactChange, challenge), code).await
    }

    /// The same for a verification that was found by other means.
    pub(super) async fn verify_subject(
        &self,
        actor: &Actor,
        subject: Subject,
        code: &OneTimeCode,
    ) -> Result<User, Error> {
        let change = |verification| self.change(actor, verification);
        let changed = self.checker.redeem(code, subject, &actor.client, change).await?;
        self.rate_limits.reset_failures(None, &changed).await;
        self.issuer.wake.notify_one();
        Ok(changed)
    }

    async fn change(&self, actor: &Actor, proven: Verification) -> Result<User, Error> {
        let Holder::Account { id, epoch } = proven.holder else { return Err(Error::InvalidCode) };
        let (now, new) = (self.core.now(), &proven.destination);
        let mut tx = self.core.store.begin().await?;
        let notice = NoticeKind::ContactChanged;
        let to = self.notices.due(&mut tx, notice, informed_addresses(&actor.user, new)).await?;
        let epoch = tx.change_contact(id, epoch, new, now).await?.ok_or(Error::InvalidCode)?;
        tx.move_sessions_to_epoch(id, None, epoch).await?;
        tx.delete_registrations(new).await?;
        if !tx.mark_verified(proven.id, None, now).await? {
            return Err(Error::InvalidCode);
        }
        self.notices.enqueue(&mut tx, &actor.user, &to, notice, Some(new), now)?;
        let (channel, change) = (new.channel(), ContactChange::Replaced);
        let changed = EventKind::ContactChanged { user_id: id, channel, change };
        self.event_log.append(&mut tx, [changed], Origin::client(&actor.client).about(new), now).await?;
        let user = tx.user(id).await?.ok_or(Error::InvalidCode)?;
        self.event_log.commit(tx).await?;
        Ok(user)
    }

    /// Removes the account's address of this channel, if there is one, and informs it. Sessions stay, other codes are
    /// dead.
    ///
    /// # Errors
    ///
    /// [`Error::LastContact`] for the only proven address. A wrong or missing current password as for
    /// [`ProfileService::change_password`](super::ProfileService::change_password).
    pub async fn remove(&self, actor: &Actor, channel: Channel, current: &CurrentPassword) -> Result<User, Error> {
        Box::pin(self.passwords.check_current(actor, current, Freshness::RecentByCode)).await?;
        let _turn = self.core.turns.take(actor.session).await?;
        let mut user = actor.user.clone();
        for _ in 0..TRIES {
            let Some(address) = user.address_of(channel) else { return Ok(user) };
            if user.proven_addresses() == [address.clone()] {
                return Err(Error::LastContact);
            }
            if let Some(changed) = Box::pin(once_on_conflict(|| self.take(&user, &address, actor))).await? {
                self.issuer.wake.notify_one();
                return Ok(changed);
            }
            user = self.passwords.reread(actor).await?;
        }
        Err(Error::ChangedMeanwhile)
    }

    /// `None` if the account changed since it was read.
    async fn take(&self, user: &User, address: &Address, actor: &Actor) -> Result<Option<User>, Error> {
        let (now, notice) = (self.core.now(), NoticeKind::ContactRemoved);
        let mut tx = self.core.store.begin().await?;
        let to = self.notices.due(&mut tx, notice, vec![address.clone()]).await?;
        let Some(epoch) = tx.remove_contact(user, address.channel(), now).await? else { return Ok(None) };
        tx.move_sessions_to_epoch(user.id, None, epoch).await?;
        self.notices.enqueue(&mut tx, user, &to, notice, Some(address), now)?;
        let (user_id, channel, change) = (user.id, address.channel(), ContactChange::Removed);
        let removed = EventKind::ContactChanged { user_id, channel, change };
        self.event_log.append(&mut tx, [removed], Origin::client(&actor.client).about(address), now).await?;
        let user = tx.user(user.id).await?;
        self.event_log.commit(tx).await?;
        Ok(user)
    }
}

/// The proven address that the new one replaces; if there is none, the account's other one.
fn informed_addresses(user: &User, new: &Address) -> Vec<Address> {
    let proven = user.proven_addresses();
    let replaced = proven.iter().find(|old| old.channel() == new.channel());
    replaced.or(proven.first()).cloned().into_iter().collect()
}
