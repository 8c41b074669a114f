//! `enroll deliveries …` and `enroll send-test`: messages as an operator sees them.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output::print;
use crate::{
    app::{admin_services, notifiers},
    config::Settings,
    domain::{
        Address, Channel, Clock as _, CodeMessage, DeliveryState, OsRandom, Outgoing, Purpose, Random, SystemClock,
    },
    notify::Envelope,
    services::ListedMessage,
};

#[derive(Subcommand)]
pub(super) enum Deliveries {
    /// Messages that wait.
    List,
    /// Messages of the last day that could not be delivered.
    Dead,
    /// Hasten what waits for more than a minute, as a provider asked; an ended message can't be sent again.
    Retry,
    /// How many of the codes sent in the last day came back, by provider and country.
    Stats,
}

#[derive(Args)]
pub(super) struct SendTest {
    #[arg(long, value_enum)]
    channel: Way,
    /// A mobile or an email.
    #[arg(long)]
    to: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Way {
    Sms,
    Email,
}

pub(super) async fn run(command: Deliveries, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let operator = admin_services(settings).await?;
    match command {
        Deliveries::List => list(&operator.deliveries.list(DeliveryState::Queued).await?, as_json),
        Deliveries::Dead => list(&operator.deliveries.list(DeliveryState::Failed).await?, as_json),
        Deliveries::Retry => print(&json!({"hastened": operator.deliveries.retry().await?}), as_json),
        Deliveries::Stats => {
            for row in operator.deliveries.stats().await? {
                let converted = f64::from(u32::try_from(row.verified)?) / f64::from(u32::try_from(row.sent)?.max(1));
                let row = json!({"provider": row.provider, "country": row.country, "sent": row.sent,
                    "verified": row.verified, "segments": row.segments, "converted": (converted * 1_000.0).round() / 1_000.0});
                line(&row, as_json);
            }
        }
    }
    operator.store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn list(messages: &[ListedMessage], as_json: bool) {
    for ListedMessage { kept, about } in messages {
        let (purpose, to) = about.as_ref().map_or((None, None), |(purpose, to)| (Some(purpose), Some(to)));
        let row = json!({"id": kept.id, "purpose": purpose, "to": to, "verification_id": kept.verification_id,
            "attempts": kept.attempts, "due_at": kept.due_at, "deadline_at": kept.deadline, "ended_at": kept.ended_at});
        line(&row, as_json);
    }
}

fn line(row: &Value, as_json: bool) {
    if as_json {
        return println!("{row}");
    }
    let fields = row.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let words: Vec<String> = fields
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned)))
        .collect();
    println!("{}", words.join(" "));
}

/// Sends what a login's code looks like, with a code that is none, by the providers as they are set.
pub(super) async fn send_test(test: SendTest, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let address = Address::parse(&test.to, &settings.phone).map_err(|error| anyhow::anyhow!("{error}"))?;
    let channel = match test.channel {
        Way::Sms => Channel::Sms,
        Way::Email => Channel::Email,
    };
    anyhow::ensure!(address.channel() == channel, "{} gets no {}", address.masked(), channel.as_str());
    let code = CodeMessage::sample(Purpose::Login, channel, address.as_str(), "");
    let expires_at = SystemClock.now().plus(std::time::Duration::from_mins(5));
    let id = (&OsRandom as &dyn Random).secret_id().simple().to_string();
    let envelope = Envelope { id, number: 0, expires_at };
    let message = settings.notify.templates.render(&Outgoing::Code(code), envelope).map_err(anyhow::Error::msg)?;
    let provider = notifiers(settings).send(&message).await?;
    print(&json!({"to": address.masked(), "provider": provider, "status": "accepted"}), as_json);
    Ok(ExitCode::SUCCESS)
}
