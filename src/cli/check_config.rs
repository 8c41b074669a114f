//! `enroll check-config`.

use std::{process::ExitCode, time::Duration};

use super::output;
use crate::{
    app::{POOLED, named_providers, open_redis},
    config::Settings,
    notify::SendError,
    store::Store,
};

const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

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
    if let Some(rabbitmq) = &settings.events.rabbitmq
        && let Err(error) = rabbitmq.check().await
    {
        problems.push(format!("AMQP_URL: events cannot be published to {rabbitmq:?}: {error}"));
    }
    problems.extend(check_providers(settings).await);
    for warning in &warnings {
        output::line(format_args!("remark: {warning}"));
    }
    for problem in &problems {
        output::line(format_args!("problem: {problem}"));
    }
    if problems.is_empty() {
        output::line("the settings are good");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Tries each provider once, without sending anything to a person.
async fn check_providers(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    for provider in named_providers(settings) {
        let name = provider.name();
        let checked = tokio::time::timeout(PROVIDER_TIMEOUT, provider.check()).await;
        if let Err(error) = checked.unwrap_or_else(|_| Err(SendError::later("no answer in time"))) {
            problems.push(format!("ENROLL__NOTIFY__{}__…: {name} would take no message: {error}", name.to_uppercase()));
        }
    }
    problems
}
