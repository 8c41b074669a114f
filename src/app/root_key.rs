//! The root key: given by the settings, or kept in the data directory.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::{
    config::Settings,
    crypto::{Keyring, RootKey},
    domain::{Clock as _, Random, SystemClock},
    store::Store,
};

/// The root key of the settings, else that of the data directory, which a first start generates. It must be one that the
/// database knows: with another one every token, message and hash of a pending password would be lost without a word.
pub(super) async fn keyring(
    settings: &Settings,
    store: &Store,
    random: &dyn Random,
    may_generate: bool,
) -> anyhow::Result<Keyring> {
    let keyring = find_keyring(settings, store, random, may_generate).await?;
    let known = store.read().await?.root_key_ids().await?;
    let is_known = |id: &str| known.iter().any(|known| known == id);
    if let Some(expected) = known.first()
        && !keyring.accepted().any(|key| is_known(key.id()))
    {
        bail!(
            "the root key (id {}) is not the one that this database was used with (id {expected}); \
             put that one back, or name it in ENROLL__SECRETS__PREVIOUS_KEYS",
            keyring.current().id()
        );
    }
    if !is_known(keyring.current().id()) {
        store.write().await?.record_root_key(keyring.current().id(), SystemClock.now()).await?;
    }
    Ok(keyring)
}

async fn find_keyring(
    settings: &Settings,
    store: &Store,
    random: &dyn Random,
    may_generate: bool,
) -> anyhow::Result<Keyring> {
    if let Some(keyring) = &settings.keyring {
        return Ok(keyring.clone());
    }
    let path = settings.data_dir.join("root.key");
    let key = match std::fs::read_to_string(&path) {
        Ok(text) => RootKey::from_base64(&text).with_context(|| format!("{} holds no root key", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_generate => {
            if store.read().await?.has_users().await? {
                bail!(
                    "{} is missing, and the database has users whose tokens and messages need it; \
                     put it back, or set ENROLL__SECRETS__KEY",
                    path.display()
                );
            }
            let key = RootKey::from_bytes(random.bytes());
            write_private(&path, &key.to_base64())?;
            key
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    Ok(Keyring::new(key, Vec::new()))
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// Creates the directory, or says that others can read an existing one.
pub(super) fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("the data directory {} cannot be created", path.display()))?;
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!("the data directory {} is open to others (mode {mode:o}); `chmod 700` it", path.display());
    }
    Ok(())
}

/// Creates a database's file for its owner alone, whatever the umask; SQLite gives its log the same mode.
pub fn make_private_file(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let created = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    created.map(drop).with_context(|| format!("{} cannot be opened", path.display()))
}
