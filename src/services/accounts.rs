use std::sync::Arc;

use uuid::Uuid;

use crate::{
    domain::{
        Address, Clock, Email, Happening, ListedSession, Locale, LoginId, Mobile, PersonName, Random, Reason,
        Timestamp, User,
    },
    engine::Journal,
    error::Error,
    store::{Store, Tx},
};

/// What an operator does with accounts: their names are taken as proven.
#[derive(Clone)]
pub struct Accounts {
    pub store: Store,
    pub journal: Journal,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// An account as an operator writes it down. It has an address, and what is not told stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub login_id: Option<LoginId>,
    pub mobile: Option<Mobile>,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
    pub locale: Option<Locale>,
}

/// So many are looked up, or written, at once.
pub(super) const BATCH: usize = 500;

impl Person {
    /// The keys that no two accounts share.
    pub fn keys(&self) -> Vec<String> {
        let mobile = self.mobile.as_ref().map(|mobile| mobile.as_str().to_owned());
        let login_id = self.login_id.as_ref().map(|login_id| format!("login_id {}", login_id.key()));
        [self.email.as_ref().map(Email::key), mobile, login_id].into_iter().flatten().collect()
    }

    pub(super) fn into_user(self, id: Uuid, now: Timestamp) -> User {
        User {
            id,
            email_verified: self.email.is_some(),
            email: self.email,
            mobile_verified: self.mobile.is_some(),
            mobile: self.mobile,
            login_id: self.login_id,
            name: self.name.map(|name| name.as_str().to_owned()),
            locale: self.locale.map(|locale| locale.as_str().to_owned()),
            password_hash: None,
            epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether the account has all that is told of it here.
    pub(super) fn is(&self, there: &User) -> bool {
        let told = self.clone().into_user(there.id, there.created_at);
        told.email.is_none_or(|email| there.email_verified && there.email.as_ref() == Some(&email))
            && told.mobile.is_none_or(|mobile| there.mobile_verified && there.mobile.as_ref() == Some(&mobile))
            && told.login_id.is_none_or(|login_id| there.login_id.as_ref() == Some(&login_id))
            && told.name.is_none_or(|name| there.name.as_ref() == Some(&name))
            && told.locale.is_none_or(|locale| there.locale.as_ref() == Some(&locale))
    }
}

impl Accounts {
    /// # Errors
    ///
    /// [`Error::AccountExists`] where another has one of the names.
    pub async fn create(&self, person: Person) -> Result<User, Error> {
        let mut tx = self.store.begin().await?;
        let taken = tx.taken(person.email.as_ref(), person.mobile.as_ref(), person.login_id.as_ref()).await?;
        if let Some(taken) = taken {
            return Err(Error::taken(taken));
        }
        let users = self.insert(&mut tx, vec![person]).await?;
        self.journal.commit(tx).await?;
        users.into_iter().next().ok_or(Error::NotFound)
    }

    /// By id, proven address or login id.
    pub async fn find(
        &self,
        id: Option<Uuid>,
        address: Option<&Address>,
        login_id: Option<&LoginId>,
    ) -> Result<User, Error> {
        let mut reading = self.store.read().await?;
        let mut found = match id {
            Some(id) => reading.user(id).await?,
            None => None,
        };
        if let (None, Some(address)) = (&found, address) {
            found = reading.user_by_address(address).await?.filter(|user| user.as_proven(address).is_some());
        }
        if let (None, Some(login_id)) = (&found, login_id) {
            found = reading.user_by_login_id(login_id).await?;
        }
        found.ok_or(Error::NotFound)
    }

    /// Keeps somebody out: no login, no refresh, and every token is refused at once.
    pub async fn disable(&self, user: &User) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if tx.disable_user(user.id, now).await? {
            let reason = Reason::Disabled;
            let happened = [Happening::SessionRevoked { user_id: user.id, session_id: None, but: None, reason }];
            self.journal.record(&mut tx, happened, now).await?;
        }
        Ok(self.journal.commit(tx).await?)
    }

    pub async fn enable(&self, user: &User) -> Result<(), Error> {
        Ok(self.store.write().await?.enable_user(user.id, self.clock.now()).await?)
    }

    pub async fn delete(&self, user: &User) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        if !tx.delete_user(user).await? {
            return Err(Error::Overloaded); // changed meanwhile
        }
        self.journal.record(&mut tx, [Happening::UserDeleted { user_id: user.id }], self.clock.now()).await?;
        Ok(self.journal.commit(tx).await?)
    }

    /// The next accounts behind this id, by id, each with its sessions that are good.
    pub async fn after(&self, id: Uuid) -> Result<Vec<(User, Vec<ListedSession>)>, Error> {
        let mut reading = self.store.read().await?;
        let users = reading.users_after(id, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
        let mut with_sessions = Vec::with_capacity(users.len());
        for user in users {
            let sessions = reading.sessions_of(&user, self.clock.now()).await?;
            with_sessions.push((user, sessions));
        }
        Ok(with_sessions)
    }

    pub(super) async fn insert(&self, tx: &mut Tx, people: Vec<Person>) -> Result<Vec<User>, Error> {
        let now = self.clock.now();
        let users: Vec<User> = people.into_iter().map(|person| person.into_user(self.random.id(now), now)).collect();
        tx.insert_users(&users).await?;
        let happened = users.iter().flat_map(|user| {
            let user_id = user.id;
            [Happening::UserRegistered { user_id }, Happening::UserActivated { user_id, channel: None }]
        });
        self.journal.record(tx, happened, now).await?;
        Ok(users)
    }
}
