//! `enroll abuse …`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::{line, print, print_line};
use crate::{
    app::admin_services,
    config::Settings,
    domain::{Origin, guard::simulation},
    services::AbuseService,
};

#[derive(Subcommand)]
pub(super) enum Abuse {
    /// List the prefixes of mobile numbers whose messages need a challenge
    List,
    /// Free a prefix and each longer one
    ///
    /// The counts so far speak against none of them.
    Lift {
        /// Such as +9198765
        prefix: String,
    },
    /// Decide anew by the counts of the last week, under the settings as they are now
    Replay,
    /// Simulate attacks beside honest people, and print how many messages go out
    Simulate {
        /// Another seed is another day
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The seconds of one core that a challenge costs at the usual price
        #[arg(long, default_value_t = 0.09)]
        seconds: f64,
    },
}

pub(super) async fn run(command: Abuse, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Abuse::Simulate { seed, seconds } = command {
        line(simulation::table(seed, seconds));
        return Ok(ExitCode::SUCCESS);
    }
    let admin = admin_services(settings).await?;
    answer(command, &admin.abuse, as_json).await?;
    admin.store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn answer(command: Abuse, abuse: &AbuseService, as_json: bool) -> anyhow::Result<()> {
    match command {
        Abuse::List => {
            for held in abuse.held().await? {
                let prefix = format!("+{}", held.prefix);
                let row = json!({"prefix": prefix, "since": held.since, "sent": held.sent, "verified": held.verified, "factor": held.factor});
                print_line(&row, as_json);
            }
        }
        Abuse::Lift { prefix } => {
            let lifted = abuse.lift(&digits(&prefix)?, Origin::command("abuse lift")).await?;
            let lifted: Vec<String> = lifted.into_iter().map(|prefix| format!("+{prefix}")).collect();
            print(&json!({"lifted": lifted}), as_json);
        }
        Abuse::Replay => {
            for step in abuse.replay().await? {
                let state = if step.is_held { "held" } else { "free" };
                print_line(&json!({"at": step.at, "prefix": format!("+{}", step.prefix), "state": state}), as_json);
            }
        }
        Abuse::Simulate { .. } => {}
    }
    Ok(())
}

/// The digits of a prefix as people type it, the calling code first.
fn digits(text: &str) -> anyhow::Result<String> {
    let digits: String = text.trim().trim_start_matches('+').chars().filter(|c| !" -()".contains(*c)).collect();
    let is_prefix = (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_prefix { Ok(digits) } else { anyhow::bail!("{text:?} is not a prefix such as +9198765") }
}
