//! Changes of accounts. All but those of the profile are made only while the account has the epoch it was read
//! with, so that of two racing changes one fails.

use uuid::Uuid;

use super::{
    StoreError, Tx, Writer,
    connection::{execute, fetch, write_once},
    dialect::statements,
    identifiers::IdentifierColumns,
};
use crate::domain::{AccountDetails, Address, Channel, FieldUpdate, JsonObject, Locale, PersonName, Timestamp, User};

statements! {
    UPDATE_PROFILE = "UPDATE users SET name = CASE WHEN $3 THEN $4 ELSE name END,
        locale = CASE WHEN $5 THEN $6 ELSE locale END, data = $7, updated_at = $2 WHERE id = $1";
    SET_CLAIMS = "UPDATE users SET claims = $2, updated_at = $3 WHERE id = $1";
    REHASH_PASSWORD = "UPDATE users SET password_hash = $3 WHERE id = $1 AND epoch = $2";
    CLOSE_PASSWORD = "UPDATE users SET password_closed_at = $2 WHERE id = $1 AND password_closed_at IS NULL";
    REOPEN_PASSWORD = "UPDATE users SET password_closed_at = NULL WHERE id = $1";
    REOPEN_PASSWORD_OF = "UPDATE users SET password_closed_at = NULL WHERE password_closed_at IS NOT NULL
        AND ((email_key = $1 AND email_verified) OR (mobile = $1 AND mobile_verified))";
    NOTE_SESSION = "UPDATE users SET session_opened_at = CASE WHEN session_opened_at < $3 THEN $3
        ELSE session_opened_at END WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL";
    ENABLE = "UPDATE users SET disabled_at = NULL, updated_at = $2 WHERE id = $1 AND disabled_at IS NOT NULL";
    DISABLE = "UPDATE users SET disabled_at = $2, epoch = epoch + 1, updated_at = $2
        WHERE id = $1 AND disabled_at IS NULL";
    CHANGE_PASSWORD = "UPDATE users SET password_hash = $3, epoch = epoch + 1, updated_at = $4
        WHERE id = $1 AND epoch = $2 RETURNING epoch";
    CHANGE_EMAIL = "UPDATE users SET email = $4, email_key = $5, email_verified = true, email_verified_at = $3,
        email_suspended_until = NULL, epoch = epoch + 1, updated_at = $3
        WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
    CHANGE_MOBILE = "UPDATE users SET mobile = $4, mobile_verified = true, mobile_verified_at = $3,
        mobile_suspended_until = NULL, epoch = epoch + 1, updated_at = $3
        WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
    REMOVE_EMAIL = "UPDATE users SET email = NULL, email_key = NULL, email_verified = false,
        email_verified_at = NULL, email_suspended_until = NULL, epoch = epoch + 1, updated_at = $3
        WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
    REMOVE_MOBILE = "UPDATE users SET mobile = NULL, mobile_verified = false, mobile_verified_at = NULL,
        mobile_suspended_until = NULL, epoch = epoch + 1, updated_at = $3
        WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
    SUSPEND_EMAIL = "UPDATE users SET email_verified = false, email_verified_at = NULL, email_suspended_until = $2
        WHERE id = $1";
    SUSPEND_MOBILE = "UPDATE users SET mobile_verified = false, mobile_verified_at = NULL,
        mobile_suspended_until = $2 WHERE id = $1";
    UPDATE = "UPDATE users SET email = COALESCE($4, email), email_key = COALESCE($5, email_key),
        email_verified = ($6 OR (email_verified AND ($5 IS NULL OR email_key = $5))),
        email_verified_at = CASE WHEN $6 AND NOT (email_verified AND email_key = $5) THEN $3
        WHEN $5 IS NULL OR email_key = $5 THEN email_verified_at ELSE NULL END,
        email_suspended_until = CASE WHEN $6 OR email_key <> $5 THEN NULL ELSE email_suspended_until END,
        mobile = COALESCE($7, mobile), mobile_verified = ($8 OR (mobile_verified AND ($7 IS NULL OR mobile = $7))),
        mobile_verified_at = CASE WHEN $8 AND NOT (mobile_verified AND mobile = $7) THEN $3
        WHEN $7 IS NULL OR mobile = $7 THEN mobile_verified_at ELSE NULL END,
        mobile_suspended_until = CASE WHEN $8 OR mobile <> $7 THEN NULL ELSE mobile_suspended_until END,
        login_id = COALESCE($9, login_id),
        login_id_key = COALESCE($10, login_id_key), name = COALESCE($11, name), locale = COALESCE($12, locale),
        data = COALESCE($14, data), claims = COALESCE($15, claims),
        password_hash = COALESCE($16, password_hash), created_at = COALESCE($17, created_at),
        epoch = epoch + $13, updated_at = $3 WHERE id = $1 AND epoch = $2 RETURNING epoch";
    DELETE = "DELETE FROM users WHERE id = $1 AND epoch = $2";
    DELETE_VERIFICATIONS = "DELETE FROM verifications WHERE user_id = $1
        OR (user_id IS NULL AND destination_key IN ($2, $3) AND NOT EXISTS
        (SELECT 1 FROM registrations r WHERE r.verification_id = verifications.id)) RETURNING id";
    DELETE_VERIFICATION_MESSAGES = "DELETE FROM outbox WHERE verification_id = $1";
    DELETE_MESSAGES = "DELETE FROM outbox WHERE user_id = $1";
}

impl Writer {
    /// Updates the person's name and language, and replaces `data`.
    pub async fn update_profile(
        &mut self,
        user: Uuid,
        name: &FieldUpdate,
        locale: &FieldUpdate,
        data: &JsonObject,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ((set_name, name), (set_locale, locale)) = (name.binds(), locale.binds());
        execute!(self, UPDATE_PROFILE, [user, now, set_name, name, set_locale, locale, data.to_stored()]).map(drop)
    }

    /// Replaces the operator's claims; `false` if there is no such account.
    pub async fn set_claims(&mut self, user: Uuid, claims: &JsonObject, now: Timestamp) -> Result<bool, StoreError> {
        Ok(execute!(self, SET_CLAIMS, [user, claims.to_stored(), now])? == 1)
    }

    /// Stores a costlier hash of the same password; does nothing if the password was changed meanwhile.
    pub async fn rehash_password(&mut self, user: &User, hash: &str) -> Result<(), StoreError> {
        execute!(self, REHASH_PASSWORD, [user.id, user.epoch, hash]).map(drop)
    }

    /// From now on the password opens nothing.
    pub async fn close_password(&mut self, user: Uuid, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, CLOSE_PASSWORD, [user, now]).map(drop)
    }

    /// The password opens the account again.
    pub async fn reopen_password(&mut self, user: Uuid) -> Result<(), StoreError> {
        execute!(self, REOPEN_PASSWORD, [user]).map(drop)
    }

    /// The same, of the account that has proven the address.
    pub async fn reopen_password_of(&mut self, address: &Address) -> Result<(), StoreError> {
        execute!(self, REOPEN_PASSWORD_OF, [address.key()]).map(drop)
    }

    /// Enables a disabled account; `false` if it is enabled already.
    pub async fn enable_user(&mut self, user: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        Ok(execute!(self, ENABLE, [user, now])? == 1)
    }
}

impl Tx {
    /// Records that a session of the account is being opened, which needs to be as it was read, and locks it.
    pub fn note_session(&mut self, user: &User, now: Timestamp) -> Result<(), StoreError> {
        write_once!(self, Row, NOTE_SESSION, [user.id, user.epoch, now])
    }

    /// Disables an account, which ends its sessions and codes by a step of its epoch; `false` if it is disabled
    /// already.
    pub async fn disable_user(&mut self, user: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        Ok(execute!(self, DISABLE, [user, now])? == 1)
    }

    /// Replaces the password and returns the new epoch; `None` if the account changed meanwhile.
    pub async fn change_password(
        &mut self,
        user: &User,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let epoch: Option<(i64,)> = fetch!(fetch_optional, self, CHANGE_PASSWORD, [user.id, user.epoch, hash, now])?;
        Ok(epoch.map(|(epoch,)| epoch))
    }

    /// Makes the address the account's proven one and returns the new epoch; `None` if the account changed
    /// meanwhile, [`StoreError::Taken`] if another account has proven the address.
    pub async fn change_contact(
        &mut self,
        user: Uuid,
        epoch: i64,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.release_addresses(std::slice::from_ref(address), now).await?;
        let epoch: Option<(i64,)> = match address {
            Address::Email(email) => {
                fetch!(fetch_optional, self, CHANGE_EMAIL, [user, epoch, now, email.as_str(), email.key()])
            }
            Address::Mobile(mobile) => {
                fetch!(fetch_optional, self, CHANGE_MOBILE, [user, epoch, now, mobile.as_str()])
            }
        }?;
        Ok(epoch.map(|(epoch,)| epoch))
    }

    /// Takes the email or the mobile from the account and returns the new epoch; `None` if the account changed
    /// meanwhile.
    pub async fn remove_contact(
        &mut self,
        user: &User,
        channel: Channel,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let statement = match channel {
            Channel::Sms => REMOVE_MOBILE,
            Channel::Email => REMOVE_EMAIL,
        };
        let epoch: Option<(i64,)> = fetch!(fetch_optional, self, statement, [user.id, user.epoch, now])?;
        Ok(epoch.map(|(epoch,)| epoch))
    }

    /// From now on the address opens nothing, until it is proven again; the account's row is locked.
    pub async fn suspend_contact(&mut self, user: Uuid, channel: Channel, until: Timestamp) -> Result<(), StoreError> {
        let statement = match channel {
            Channel::Sms => SUSPEND_MOBILE,
            Channel::Email => SUSPEND_EMAIL,
        };
        execute!(self, statement, [user, until]).map(drop)
    }

    /// Gives an account the values that the details have and keeps the others; new addresses step its epoch. Returns
    /// the epoch; `None` if the account changed meanwhile.
    pub async fn update_user(
        &mut self,
        existing: &User,
        new: &AccountDetails,
        step_epoch: bool,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.release_addresses(&new.proven_addresses(), now).await?;
        let columns = IdentifierColumns::from(&new.identifiers);
        let epoch: Option<(i64,)> = fetch!(
            fetch_optional,
            self,
            UPDATE,
            [
                existing.id,
                existing.epoch,
                now,
                columns.email,
                &columns.email_key,
                new.proves_email(),
                columns.mobile,
                new.proves_mobile(),
                columns.login_id,
                &columns.login_id_key,
                new.name.as_ref().map(PersonName::as_str),
                new.locale.as_ref().map(Locale::as_str),
                i64::from(step_epoch),
                new.data.as_ref().map(ToString::to_string),
                new.claims.as_ref().map(ToString::to_string),
                &new.password_hash,
                new.created_at,
            ]
        )?;
        Ok(epoch.map(|(epoch,)| epoch))
    }

    /// Deletes the account and all that names it, its sessions included; `false` if it changed meanwhile.
    pub async fn delete_user(&mut self, user: &User) -> Result<bool, StoreError> {
        if execute!(self, DELETE, [user.id, user.epoch])? == 0 {
            return Ok(false);
        }
        // What anyone requested for a proven address names the person; a pending registration of an unproven
        // one is somebody else's.
        let own: Vec<String> = user.own_addresses().iter().map(Address::key).collect();
        let gone: Vec<(Uuid,)> = fetch!(fetch_all, self, DELETE_VERIFICATIONS, [user.id, own.first(), own.get(1)])?;
        for (verification,) in gone {
            execute!(self, DELETE_VERIFICATION_MESSAGES, [verification])?;
        }
        execute!(self, DELETE_MESSAGES, [user.id])?;
        let hashes: Vec<_> = user.own_addresses().iter().map(Address::hash).collect();
        self.forget_audit(user.id, &hashes).await?;
        Ok(true)
    }
}
