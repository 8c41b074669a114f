use std::process::ExitCode;

use redis::cmd;

use crate::{app::open_redis, config::Settings, store::Store};

/// Reports what can't be reached and what is unwise; the settings themselves were read already.
pub(super) async fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let mut remarks = settings.remarks();
    if !settings.store.url.starts_with("sqlite:") {
        let reached =
            async { Store::open(&settings.store, false)?.read().await.map(drop).map_err(anyhow::Error::from) };
        if let Err(error) = reached.await {
            problems.push(format!("DATABASE_URL: {} can't be reached: {error:#}", settings.shown_database()));
        }
    }
    if let Some(redis) = open_redis(settings, "")? {
        match redis.run::<Vec<(String, String)>>(cmd("CONFIG").arg("GET").arg("maxmemory-policy")).await {
            Ok(policy) if policy.iter().any(|(_, policy)| policy == "noeviction") => {}
            Ok(policy) => {
                remarks.push(format!("Redis may evict live codes and counters: maxmemory-policy is {policy:?}"));
            }
            Err(_) if redis.ping().await.is_ok() => {} // managed servers hide CONFIG
            Err(error) => problems.push(format!("REDIS_URL: {error}")),
        }
    }
    for remark in &remarks {
        println!("remark: {remark}");
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
