//! `enroll sessions …`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{
    output::print,
    users::{AccountArgument, find},
};
use crate::{
    app::admin_services,
    config::Settings,
    domain::{Origin, Reason},
    http::user_json,
};

#[derive(Subcommand)]
pub(super) enum Sessions {
    /// List an account's sessions
    List(AccountArgument),
    /// Revoke one session, or all of an account; its tokens are refused at once
    Revoke {
        /// The id of a session
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// Revoke all sessions of this account
        #[arg(long, value_name = "WHO", conflicts_with = "id")]
        all: Option<String>,
    },
}

pub(super) async fn run(command: Sessions, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let admin = admin_services(settings).await?;
    match command {
        Sessions::List(AccountArgument { who }) => {
            let user = find(&admin, settings, &who).await?;
            let sessions = admin.sessions.list(&user).await?;
            let mut listed = user_json(&user, Some(sessions));
            print(&json!({"sessions": listed["sessions"].take()}), as_json);
        }
        Sessions::Revoke { id: Some(id), .. } => {
            if !admin.sessions.end(id, None, Reason::Ended, Origin::command("sessions_revoke")).await? {
                bail!("no such session, or it has ended");
            }
            print(&json!({"id": id, "status": "revoked"}), as_json);
        }
        Sessions::Revoke { all, .. } => {
            let user = find(&admin, settings, &all.unwrap_or_default()).await?;
            admin.sessions.log_out_all(&user, Origin::command("sessions_revoke")).await?;
            print(&json!({"id": user.id, "status": "revoked"}), as_json);
        }
    }
    admin.store.close().await;
    Ok(ExitCode::SUCCESS)
}
