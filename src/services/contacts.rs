use uuid::Uuid;

use crate::{
    domain::{
        Address, Client, FieldCode, FieldError, Happening, Holder, IssuedCode, NoticeKind, OneTimeCode, Purpose, User,
        Verification,
    },
    engine::{
        CurrentPassword, Guessing, Journal, Notices, Reauthentication,
        code_checker::Found,
        code_issuer::{NewCode, Unpublished},
        reauthentication::Enough,
        retry::run_twice,
    },
    error::Error,
};

/// Replaces an account's email or mobile; a new one counts only once its code proves it.
#[derive(Clone)]
pub struct ContactService {
    pub guessing: Guessing,
    pub reauthentication: Reauthentication,
    pub notices: Notices,
    pub journal: Journal,
}

impl ContactService {
    /// Sends a code to the new address, and tells the old one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for one's own proven address, [`Error::AccountExists`] for one that another
    /// account has proven; as [`Reauthentication`], where any young session is enough.
    pub async fn request(
        &self,
        user: &User,
        session: Uuid,
        new: &Address,
        current: &CurrentPassword,
        client: &Client,
    ) -> Result<IssuedCode, Error> {
        if user.as_proven(new).is_some() {
            return Err(Error::field(FieldError::new(new.field(), FieldCode::Invalid, "is proven already")));
        }
        let Guessing { throttle, issuer, .. } = &self.guessing;
        let send = throttle.send(client).await?;
        let written = async {
            self.reauthentication.require(user, session, current, Enough::Young, client).await?;
            run_twice(|| self.write(user, new)).await
        };
        match written.await {
            Ok(code) => issuer.publish(code).await,
            // It told who is registered: so it counts.
            Err(error @ Error::AccountExists(_)) => Err(error),
            Err(error) => {
                send.give_back().await;
                Err(error)
            }
        }
    }

    async fn write(&self, user: &User, new: &Address) -> Result<Unpublished, Error> {
        let Guessing { store, issuer, .. } = &self.guessing;
        let mut tx = store.begin().await?;
        let (mut history, now) = issuer.lock(&mut tx, &new.key()).await?;
        let (email, mobile) = match new {
            Address::Email(email) => (Some(email), None),
            Address::Mobile(mobile) => (None, Some(mobile)),
        };
        if let Some(taken) = tx.taken(email, mobile, None).await? {
            return Err(Error::taken(taken));
        }
        issuer.admit(&history, Purpose::ContactChange, now)?;
        if !tx.hold_user(user.id).await? {
            return Err(Error::InvalidToken); // gone meanwhile
        }
        let code = NewCode {
            purpose: Purpose::ContactChange,
            destination: new,
            verification: issuer.random.secret_id(),
            first: true,
            holder: Holder::Account { id: user.id, epoch: user.epoch },
            asked_with: None,
            locale: user.locale.clone(),
        };
        let code = issuer.issue(&mut tx, &mut history, &code, now).await?;
        self.notices.tell(&mut tx, user, &told(user, new), NoticeKind::ContactRequested, Some(new), now).await?;
        tx.commit().await?;
        Ok(code)
    }

    /// Makes the address the account's own; its sessions live on, its other codes are dead.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for any code that is not good now, or not this account's.
    /// [`Error::AccountExists`] where another has proven the address meanwhile; the code stays good.
    pub async fn verify(&self, user: &User, id: Uuid, code: &OneTimeCode, client: &Client) -> Result<User, Error> {
        let Guessing { store, issuer, throttle, .. } = &self.guessing;
        let challenge = store.read().await?.challenge(id, issuer.clock.now()).await?;
        let its_own = |it: &Verification| {
            it.purpose == Purpose::ContactChange && matches!(it.holder, Holder::Account { id, .. } if id == user.id)
        };
        let challenge = challenge.filter(|challenge| its_own(&challenge.verification));
        let found = Found::owned(Purpose::ContactChange, challenge);
        let changed = self.guessing.prove(code, found, client, |it| self.change(user, it)).await?;
        throttle.forgive(None, &changed).await;
        issuer.wake.notify_one();
        Ok(changed)
    }

    async fn change(&self, user: &User, proven: Verification) -> Result<User, Error> {
        let Holder::Account { id, epoch } = proven.holder else { return Err(Error::InvalidCode) };
        let (now, new) = (self.guessing.issuer.clock.now(), &proven.destination);
        let mut tx = self.guessing.store.begin().await?;
        let epoch = tx.change_contact(id, epoch, new, now).await?.ok_or(Error::InvalidCode)?;
        tx.take_sessions_along(id, None, epoch).await?;
        tx.end_registrations(&new.key()).await?;
        if !tx.mark_verified(proven.id, None, now).await? {
            return Err(Error::InvalidCode);
        }
        self.notices.tell(&mut tx, user, &told(user, new), NoticeKind::ContactChanged, Some(new), now).await?;
        let happened = [Happening::ContactChanged { user_id: id, channel: new.channel() }];
        self.journal.record(&mut tx, happened, now).await?;
        let changed = tx.user(id).await?.ok_or(Error::InvalidCode)?;
        self.journal.commit(tx).await?;
        Ok(changed)
    }
}

/// The proven address that the new one replaces; where there is none, the account's other one.
fn told(user: &User, new: &Address) -> Vec<Address> {
    let proven = user.proven();
    let replaced = proven.iter().find(|old| old.channel() == new.channel());
    replaced.or(proven.first()).cloned().into_iter().collect()
}
