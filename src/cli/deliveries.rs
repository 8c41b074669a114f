//! `enroll deliveries …` and `enroll send-test`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    address,
    output::{print, print_line},
};
use crate::{
    app::{admin_services, notifiers},
    config::Settings,
    domain::{Channel, Clock as _, CodeMessage, DeliveryState, MessagePayload, OsRandom, Purpose, Random, SystemClock},
    notify::MessageMeta,
    services::MessageSummary,
    store::{Conversion, StoredMessage},
};

#[derive(Subcommand)]
pub(super) enum Deliveries {
    /// List the messages that wait
    List,
    /// List the messages of the last day that could not be delivered
    Dead,
    /// Retry waiting messages now
    ///
    /// Those that a provider asked to wait for more than a minute; an ended message cannot be sent again.
    Retry,
    /// Show how many codes of the last day were used, by provider and country
    Stats,
}

#[derive(Args)]
pub(super) struct SendTest {
    /// The channel
    #[arg(long, value_enum)]
    channel: ChannelArgument,
    /// An email address or a mobile number
    #[arg(long)]
    to: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum ChannelArgument {
    Sms,
    Email,
}

pub(super) async fn run(command: Deliveries, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let admin = admin_services(settings).await?;
    match command {
        Deliveries::List => print_list(&admin.deliveries.list(DeliveryState::Queued).await?, as_json),
        Deliveries::Dead => print_list(&admin.deliveries.list(DeliveryState::Failed).await?, as_json),
        Deliveries::Retry => print(&json!({"hastened": admin.deliveries.retry().await?}), as_json),
        Deliveries::Stats => {
            for row in admin.deliveries.stats().await? {
                print_line(&conversion_json(&row)?, as_json);
            }
        }
    }
    admin.store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn conversion_json(row: &Conversion) -> anyhow::Result<Value> {
    let rate = f64::from(u32::try_from(row.verified)?) / f64::from(u32::try_from(row.sent)?.max(1));
    Ok(json!({
        "provider": row.provider,
        "country": row.country,
        "sent": row.sent,
        "failed": row.failed,
        "verified": row.verified,
        "segments": row.segments,
        "converted": (rate * 1_000.0).round() / 1_000.0,
    }))
}

fn print_list(messages: &[MessageSummary], as_json: bool) {
    for MessageSummary { stored, purpose } in messages {
        let mut row = message_json(stored);
        row["purpose"] = json!(purpose);
        print_line(&row, as_json);
    }
}

/// A message without its content.
pub(super) fn message_json(stored: &StoredMessage) -> Value {
    json!({
        "id": stored.id,
        "purpose": null,
        "to": stored.destination,
        "provider": stored.provider,
        "last_error": stored.last_error,
        "verification_id": stored.verification_id,
        "attempts": stored.attempts,
        "due_at": stored.due_at,
        "deadline_at": stored.deadline,
        "ended_at": stored.ended_at,
    })
}

/// Sends the text of a login code, with digits that are no code, by the configured providers.
pub(super) async fn send_test(test: SendTest, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let to = address(&test.to, settings)?;
    let channel = match test.channel {
        ChannelArgument::Sms => Channel::Sms,
        ChannelArgument::Email => Channel::Email,
    };
    anyhow::ensure!(to.channel() == channel, "{} cannot receive {}", to.masked(), channel.as_str());
    let code = CodeMessage::sample(Purpose::Login, &to, "");
    let expires_at = SystemClock.now().plus(std::time::Duration::from_mins(5));
    let id = (&OsRandom as &dyn Random).secret_id().simple().to_string();
    let meta = MessageMeta { id, number: 0, expires_at };
    let message = settings.notify.templates.render(&MessagePayload::Code(code), meta).map_err(anyhow::Error::msg)?;
    let accepted = notifiers(settings).send(&message).await?;
    let sent = json!({
        "to": to.masked(),
        "provider": accepted.provider,
        "reference": accepted.reference,
        "status": "accepted",
    });
    print(&sent, as_json);
    Ok(ExitCode::SUCCESS)
}
