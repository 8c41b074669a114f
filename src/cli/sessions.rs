//! `enroll sessions …`

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{output::print, users::find};
use crate::{app::admin_services, config::Settings, domain::Reason, http::user_json};

#[derive(Subcommand)]
pub(super) enum Sessions {
    /// List an account's sessions.
    List { who: String },
    /// End one session, or all of an account; its tokens are refused at once.
    Revoke {
        /// A session's id.
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// All sessions of this account.
        #[arg(long, value_name = "WHO", conflicts_with = "id")]
        all: Option<String>,
    },
}

pub(super) async fn run(command: Sessions, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let operator = admin_services(settings).await?;
    match command {
        Sessions::List { who } => {
            let user = find(&operator, settings, &who).await?;
            let sessions = operator.sessions.list(&user).await?;
            let mut listed = user_json(&user, Some(sessions));
            print(&json!({"sessions": listed["sessions"].take()}), as_json);
        }
        Sessions::Revoke { id: Some(id), .. } => {
            if !operator.sessions.end(id, None, Reason::Ended).await? {
                bail!("there is no such session, or it has ended");
            }
            print(&json!({"id": id, "status": "revoked"}), as_json);
        }
        Sessions::Revoke { all, .. } => {
            let user = find(&operator, settings, &all.unwrap_or_default()).await?;
            operator.sessions.log_out_all(&user).await?;
            print(&json!({"id": user.id, "status": "revoked"}), as_json);
        }
    }
    operator.store.close().await;
    Ok(ExitCode::SUCCESS)
}
