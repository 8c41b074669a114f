//! `enroll check-config`.

use std::process::ExitCode;

use crate::{
    app::{POOLED, open_redis},
    config::Settings,
    store::Store,
};

/// Reports what cannot be reached and what is unwise; the settings themselves were checked before.
pub(super) async fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let mut warnings = settings.warnings();
    if !settings.store.url.starts_with("sqlite:") {
        let store = Store::open(&settings.store, false)?;
        let database = settings.database_without_password();
        match store.check_connections().await {
            Err(error) => problems.push(format!("DATABASE_URL: {database} cannot be reached: {error:#}")),
            Ok(()) if settings.store.pooled => {}
            Ok(()) if store.is_behind_transaction_pooler().await? => problems.push(POOLED.to_owned()),
            Ok(()) => {}
        }
    }
    if let Some(redis) = open_redis(settings, "")? {
        match redis.eviction_policy().await {
            Ok(None) => {} // managed servers hide it
            Ok(Some(policy)) if policy == "noeviction" => {}
            Ok(Some(policy)) => {
                warnings.push(format!("Redis may evict live codes and counters: maxmemory-policy is {policy}"));
            }
            Err(error) => problems.push(format!("REDIS_URL: {error}")),
        }
    }
    for warning in &warnings {
        println!("remark: {warning}");
    }
    for problem in &problems {
        println!("problem: {problem}");
    }
    if problems.is_empty() {
        println!("the settings are good");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
