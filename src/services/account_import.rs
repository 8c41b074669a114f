use std::collections::{HashMap, HashSet};

use super::accounts::{Accounts, BATCH, Person};
use crate::{
    domain::{Address, Email, Happening, LoginId, User},
    engine::retry::run_twice,
    error::Error,
    store::StoreError,
};

/// What an import would do, line by line.
#[derive(Debug, Default)]
pub struct Plan {
    create: Vec<Person>,
    /// The account as it was found, and what is told of it.
    update: Vec<(User, Person)>,
    pub unchanged: usize,
}

impl Plan {
    pub fn created(&self) -> usize {
        self.create.len()
    }

    pub fn updated(&self) -> usize {
        self.update.len()
    }
}

impl Accounts {
    /// What an import of these would do; else what is wrong, by their places in the list.
    pub async fn plan(&self, people: Vec<Person>, update: bool) -> Result<Result<Plan, Vec<(usize, String)>>, Error> {
        let (mut plan, mut wrong, mut met) = (Plan::default(), Vec::new(), HashSet::new());
        for (number, batch) in people.chunks(BATCH).enumerate() {
            let there = self.there(batch).await?;
            for (place, person) in batch.iter().enumerate() {
                let mut same: Vec<&User> = person.keys().iter().filter_map(|key| there.get(key)).collect();
                same.dedup_by_key(|user| user.id);
                match same[..] {
                    [] => plan.create.push(person.clone()),
                    [user] => {
                        if !met.insert(user.id) {
                            wrong.push((number * BATCH + place, format!("another line is about {} already", user.id)));
                        } else if person.is(user) {
                            plan.unchanged += 1;
                        } else if update {
                            plan.update.push((user.clone(), person.clone()));
                        } else {
                            let message = format!("{} is there with other values; --update takes these", user.id);
                            wrong.push((number * BATCH + place, message));
                        }
                    }
                    [one, other, ..] => {
                        let message = format!("its names are of two accounts, {} and {}", one.id, other.id);
                        wrong.push((number * BATCH + place, message));
                    }
                }
            }
        }
        Ok(if wrong.is_empty() { Ok(plan) } else { Err(wrong) })
    }

    /// Does what was planned, a batch a transaction, and tells after each how many are done. Broken
    /// off, it may be planned and done again: what is there already is unchanged.
    pub async fn carry_out(&self, mut plan: Plan, mut done: impl FnMut(usize)) -> Result<(), Error> {
        // One order for all: two imports at once wait for each other, and don't deadlock.
        plan.create.sort_by_key(Person::keys);
        plan.update.sort_by_key(|(there, _)| there.id);
        let mut count = 0;
        for batch in plan.create.chunks(BATCH) {
            run_twice(|| async {
                let mut tx = self.store.begin().await?;
                self.insert(&mut tx, batch.to_vec()).await?;
                Ok(self.journal.commit(tx).await?)
            })
            .await?;
            count += batch.len();
            done(count);
        }
        for batch in plan.update.chunks(BATCH) {
            run_twice(|| self.update(batch)).await?;
            count += batch.len();
            done(count);
        }
        Ok(())
    }

    /// Who has these names now.
    async fn there(&self, people: &[Person]) -> Result<HashMap<String, User>, StoreError> {
        let emails: Vec<String> = people.iter().filter_map(|person| person.email.as_ref().map(Email::key)).collect();
        let mobile = |person: &Person| person.mobile.as_ref().map(|mobile| mobile.as_str().to_owned());
        let mobiles: Vec<String> = people.iter().filter_map(mobile).collect();
        let login_ids: Vec<String> =
            people.iter().filter_map(|person| person.login_id.as_ref().map(LoginId::key)).collect();
        let users = self.store.users_named(&emails, &mobiles, &login_ids).await?;
        let keys = |user: &User| {
            let login_id = user.login_id.as_ref().map(|login_id| format!("login_id {}", login_id.key()));
            user.proven().iter().map(Address::key).chain(login_id).collect::<Vec<_>>()
        };
        Ok(users.iter().flat_map(|user| keys(user).into_iter().map(|key| (key, user.clone()))).collect())
    }

    async fn update(&self, batch: &[(User, Person)]) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        for (there, told) in batch {
            let (user_id, told) = (there.id, told.clone().into_user(there.id, now));
            let changed: Vec<Address> =
                told.proven().into_iter().filter(|address| there.as_proven(address).is_none()).collect();
            let epoch = tx.update_user(there, &told, !changed.is_empty(), now).await?.ok_or(Error::Lost)?;
            if !changed.is_empty() {
                tx.take_sessions_along(user_id, None, epoch).await?;
            }
            let happened = changed.iter().map(|new| Happening::ContactChanged { user_id, channel: new.channel() });
            self.journal.record(&mut tx, happened, now).await?;
        }
        Ok(self.journal.commit(tx).await?)
    }
}
