//! The root key: given by the settings, or kept in the data directory.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::{
    config::Settings,
    crypto::{Keyring, RootKey},
    domain::Random,
    store::Store,
};

/// The root key of the settings, else that of the data directory, which a first start generates.
pub(super) async fn keyring(
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

pub(super) fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("the data directory {} cannot be created", path.display()))
}
