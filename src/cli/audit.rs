//! `enroll audit` and `enroll why`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{address, output, users::find};
use crate::{
    app::admin_services,
    config::Settings,
    domain::{AuditKind, AuditLine},
    http::audit_json,
};

#[derive(Args)]
pub(super) struct Audit {
    /// Of this account alone: an id, a login id, an email address or a mobile number
    #[arg(long, value_name = "WHO")]
    user: Option<String>,
}

pub(super) async fn audit(command: Audit, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let admin = admin_services(settings).await?;
    let user = match command.user {
        Some(who) => Some(find(&admin, settings, &who).await?),
        None => None,
    };
    for line in admin.audit.lines(user.as_ref()).await? {
        output::print_line(&audit_json(&line), as_json);
    }
    admin.store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// The timeline of an address, and a line of advice.
pub(super) async fn why(text: &str, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let address = address(text, settings)?;
    let admin = admin_services(settings).await?;
    let timeline = admin.audit.why(&address).await?;
    let waiting: Vec<Value> = timeline.waiting.iter().map(super::deliveries::message_json).collect();
    if as_json {
        let lines: Vec<Value> = timeline.lines.iter().map(audit_json).collect();
        let answer =
            json!({"destination": address.masked(), "lines": lines, "waiting": waiting, "advice": timeline.advice});
        output::line(answer);
    } else {
        for line in &timeline.lines {
            print_step(line);
        }
        for message in &waiting {
            output::print_line(message, false);
        }
        output::line(timeline.advice);
    }
    admin.store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// A step as a person reads it: when, what, and what belongs to it.
fn print_step(line: &AuditLine) {
    let mut json = audit_json(line);
    let fields = json.as_object_mut().expect("a line is an object");
    for shown in ["at", "kind", "outcome", "destination", "user_id", "user_agent"] {
        fields.remove(shown);
    }
    if line.kind != AuditKind::Refused {
        fields.remove("times");
    }
    let head = format!("{}  {:<16} {:<14}", line.at, line.kind.as_str(), line.outcome);
    output::line(format_args!("{head} {}", output::pairs(&json)));
}
