//! `enroll backup FILE`.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::output;
use crate::{
    app::{admin_services, make_private_file},
    config::Settings,
};

/// Copies the embedded database as of one moment, while servers go on writing.
pub(super) async fn backup(settings: &Settings, file: &Path, as_json: bool) -> anyhow::Result<()> {
    if settings.store.file().is_none() {
        bail!("DATABASE_URL is not an embedded database; back PostgreSQL up with pg_dump or its base backups");
    }
    let file = &std::path::absolute(file)?; // a name that begins with `file:` means more to SQLite
    if file.to_str().is_none() {
        bail!("{} is not UTF-8", file.display());
    }
    if file.symlink_metadata().is_ok() {
        bail!("{} exists already", file.display());
    }
    let admin = admin_services(settings).await?;
    make_private_file(file).with_context(|| format!("cannot create {}", file.display()))?;
    let copied = admin.store.copy_to(file).await;
    admin.store.close().await;
    if let Err(error) = copied {
        let _ = std::fs::remove_file(file);
        return Err(error.into());
    }
    let octets = std::fs::metadata(file)?.len();
    output::print(&json!({"file": file.display().to_string(), "octets": octets, "status": "copied"}), as_json);
    if settings.keyring.is_none() && !as_json {
        output::line("the root key is not in it: keep data_dir/root.key too, at another place");
    }
    Ok(())
}
