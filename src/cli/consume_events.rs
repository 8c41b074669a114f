//! `enroll consume-events`: a consumer to be used as it is, or read as an example.

use std::{
    io::Write as _,
    process::{ExitCode, Stdio},
};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::{Settings, Sources},
    events::{Consumer, ConsumerSettings, HandlerResult},
};

#[derive(Args)]
pub(super) struct ConsumeEvents {
    /// The durable queue; consumers of one queue share its events
    #[arg(long, default_value = "enroll.events.consumer")]
    queue: String,
    /// The event types, such as `user.*`
    #[arg(long = "topic", default_value = "#")]
    topics: Vec<String>,
    /// A shell command to run for each event, which it reads from standard input
    ///
    /// Unless it exits with 0, the event is delivered again; after five times it goes to the dead-letter queue.
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
}

/// Writes each event as a JSON line to standard output, or hands it to a command, until told to stop.
pub(super) async fn run(arguments: ConsumeEvents, settings: &Settings) -> anyhow::Result<ExitCode> {
    let url = settings.events.rabbitmq.clone().context("AMQP_URL is required")?;
    let ConsumeEvents { queue, topics, exec } = arguments;
    let mut consumer = Consumer::new(url, ConsumerSettings { queue, topics });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        () = consumer.run(async |event: &Value| match &exec {
            Some(command) => execute(command, event).await,
            None => print(event),
        }) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn print(event: &Value) -> HandlerResult {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{event}").and_then(|()| out.flush());
    if written.is_ok() { HandlerResult::Done } else { HandlerResult::Failed }
}

async fn execute(command: &str, event: &Value) -> HandlerResult {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped());
    for name in Sources::names_of_secrets() {
        shell.env_remove(name); // keys and passwords are none of the command's business
    }
    let input = event.to_string();
    let exit = tokio::task::spawn_blocking(move || {
        let mut child = shell.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes()); // a command need not read it
        }
        child.wait()
    });
    match exit.await {
        Ok(Ok(status)) if status.success() => HandlerResult::Done,
        outcome => {
            tracing::warn!(?outcome, "the command failed, and the event is delivered again");
            HandlerResult::Failed
        }
    }
}
