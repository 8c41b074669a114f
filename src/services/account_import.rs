//! Importing accounts: everything is planned before the first is written.

use std::collections::{HashMap, HashSet};

use super::accounts::{AccountService, BATCH};
use crate::{
    crypto::HashParams,
    domain::{AccountDetails, Address, ContactChange, Email, EventKind, LoginId, Origin, User},
    engine::once_on_conflict,
    error::Error,
    store::StoreError,
};

/// The accounts that an import would create and update.
#[derive(Debug, Default)]
pub struct ImportPlan {
    create: Vec<AccountDetails>,
    /// The account as it was found, and what is given of it.
    update: Vec<(User, AccountDetails)>,
    unchanged: usize,
}

/// An entry that cannot be imported.
#[derive(Debug)]
pub struct ImportConflict {
    /// The entry's place in the list.
    pub index: usize,
    /// Why.
    pub message: String,
}

/// The step that an import takes for an entry.
enum Step {
    Create,
    Keep,
    Update(Box<User>),
}

impl ImportPlan {
    /// How many accounts would be created.
    pub fn created(&self) -> usize {
        self.create.len()
    }

    /// How many accounts would be updated.
    pub fn updated(&self) -> usize {
        self.update.len()
    }

    /// How many accounts already have the given values.
    pub fn unchanged(&self) -> usize {
        self.unchanged
    }
}

impl AccountService {
    /// Plans an import; otherwise returns everything that is in its way.
    pub async fn plan_import(
        &self,
        entries: Vec<AccountDetails>,
        update: bool,
    ) -> Result<Result<ImportPlan, Vec<ImportConflict>>, Error> {
        let (mut plan, mut conflicts, mut met) = (ImportPlan::default(), Vec::new(), HashSet::new());
        for (number, batch) in entries.chunks(BATCH).enumerate() {
            let existing = self.existing(batch).await?;
            for (place, details) in batch.iter().enumerate() {
                let claims = self.check_claims(&details.identifiers, details.claims.as_ref());
                let step = claims.map_err(|error| format!("claims {}", error.message));
                match step.and_then(|()| plan_entry(details, &existing, update, &mut met)) {
                    Ok(Step::Create) => plan.create.push(details.clone()),
                    Ok(Step::Keep) => plan.unchanged += 1,
                    Ok(Step::Update(user)) => plan.update.push((*user, details.clone())),
                    Err(message) => conflicts.push(ImportConflict { index: number * BATCH + place, message }),
                }
            }
        }
        Ok(if conflicts.is_empty() { Ok(plan) } else { Err(conflicts) })
    }

    /// Carries out a plan, a batch in each transaction, and reports after each how many accounts are done. If it
    /// breaks off, it can be planned and carried out again: what was done is unchanged then.
    pub async fn import(&self, mut plan: ImportPlan, mut progress: impl FnMut(usize)) -> Result<(), Error> {
        // One order for all: two imports at once wait for each other, and do not deadlock.
        plan.create.sort_by_cached_key(AccountDetails::keys);
        plan.update.sort_by_key(|(user, _)| user.id);
        let mut done = 0;
        for batch in plan.create.chunks(BATCH) {
            once_on_conflict(|| async {
                let mut tx = self.core.store.begin().await?;
                self.insert(&mut tx, batch.to_vec(), "users_import").await?;
                Ok(self.event_log.commit(tx).await?)
            })
            .await?;
            done += batch.len();
            progress(done);
        }
        for batch in plan.update.chunks(BATCH) {
            once_on_conflict(|| self.update(batch)).await?;
            done += batch.len();
            progress(done);
        }
        Ok(())
    }

    async fn update(&self, batch: &[(User, AccountDetails)]) -> Result<(), Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        for (existing, details) in batch {
            let gives_password = gives_password(details, existing);
            let password_hash = details.password_hash.clone().filter(|_| gives_password);
            let details = &AccountDetails { password_hash, ..details.clone() };
            let new = details.clone().into_user(existing.id, now);
            let changed = new.proven_addresses().into_iter().filter(|new| existing.proven_address(new).is_none());
            let changed: Vec<Address> = changed.collect();
            let steps_epoch = !changed.is_empty() || gives_password;
            let epoch = tx.update_user(existing, details, steps_epoch, now).await?.ok_or(Error::Conflict)?;
            if steps_epoch {
                tx.move_sessions_to_epoch(existing.id, None, epoch).await?;
            }
            let user_id = existing.id;
            let change = ContactChange::Replaced;
            let events =
                changed.iter().map(|new| EventKind::ContactChanged { user_id, channel: new.channel(), change });
            self.event_log.append(&mut tx, events, Origin::command("users_import"), now).await?;
        }
        Ok(self.event_log.commit(tx).await?)
    }

    /// The accounts that have these identifiers now, by key.
    async fn existing(&self, batch: &[AccountDetails]) -> Result<HashMap<String, User>, StoreError> {
        let ids: Vec<String> = batch.iter().filter_map(|details| details.id.map(|id| id.to_string())).collect();
        let identifiers = || batch.iter().map(|details| &details.identifiers);
        let emails: Vec<String> = identifiers().filter_map(|own| own.email.as_ref().map(Email::key)).collect();
        let mobile = |mobile: &crate::domain::Mobile| mobile.as_str().to_owned();
        let mobiles: Vec<String> = identifiers().filter_map(|own| own.mobile.as_ref().map(mobile)).collect();
        let login_ids: Vec<String> = identifiers().filter_map(|own| own.login_id.as_ref().map(LoginId::key)).collect();
        let users = self.core.store.read().await?.users_by_keys(&emails, &mobiles, &login_ids, &ids).await?;
        let now = self.core.now();
        let keys = |user: &User| {
            let login_id = user.identifiers.login_id.as_ref().map(|login_id| format!("login_id {}", login_id.key()));
            let id = std::iter::once(format!("id {}", user.id));
            user.held_addresses(now).iter().map(Address::key).chain(login_id).chain(id).collect::<Vec<_>>()
        };
        Ok(users.iter().flat_map(|user| keys(user).into_iter().map(|key| (key, user.clone()))).collect())
    }
}

/// Whether the account takes the password that is given: it has none, or one that another system hashed and nobody has
/// logged in by since. One that was chosen here is newer.
fn gives_password(details: &AccountDetails, user: &User) -> bool {
    let takes = |stored: &String| HashParams::of(stored).is_none() && details.password_hash.as_ref() != Some(stored);
    details.password_hash.is_some() && user.password_hash.as_ref().is_none_or(takes)
}

/// A leaver's number beside a joiner's login id must not give the joiner the leaver's account.
fn has_another_login_id(details: &AccountDetails, user: &User) -> bool {
    let (new, old) = (&details.identifiers.login_id, &user.identifiers.login_id);
    new.as_ref().zip(old.as_ref()).is_some_and(|(new, old)| new.key() != old.key())
}

fn plan_entry(
    details: &AccountDetails,
    existing: &HashMap<String, User>,
    update: bool,
    met: &mut HashSet<uuid::Uuid>,
) -> Result<Step, String> {
    let keys = details.keys();
    let mut found: Vec<&User> = keys.iter().filter_map(|key| existing.get(key)).collect();
    found.dedup_by_key(|user| user.id);
    match found[..] {
        [] => Ok(Step::Create),
        [user] if !met.insert(user.id) => Err(format!("another line describes account {} already", user.id)),
        [user] if details.id.is_some_and(|id| id != user.id) => {
            Err(format!("its identifiers belong to account {}, not to this id", user.id))
        }
        [user] if details.id.is_none() && has_another_login_id(details, user) => {
            Err(format!("its address belongs to account {}, which has another login id", user.id))
        }
        [user] if details.matches(user) && !gives_password(details, user) => Ok(Step::Keep),
        [user] if update => Ok(Step::Update(Box::new(user.clone()))),
        [user] => Err(format!("account {} exists with different values; use --update to overwrite", user.id)),
        [one, other, ..] => Err(format!("its identifiers belong to two accounts, {} and {}", one.id, other.id)),
    }
}
