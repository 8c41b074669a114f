//! `enroll consume-events`: a listener to be used as it is, or read as an example.

use std::{io::Write as _, process::ExitCode, process::Stdio};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Settings,
    events::{Consumer, ConsumerSettings, Handled},
};

#[derive(Args)]
pub(super) struct Consume {
    /// The durable queue to listen at; listeners of one queue share its events.
    #[arg(long, default_value = "enroll.events.consumer")]
    queue: String,
    /// What to listen to, as `user.*`.
    #[arg(long = "topic", default_value = "#")]
    topics: Vec<String>,
    /// Run this by the shell for each event, with the event on its standard input; unless it exits
    /// with 0 the event comes again, and after five times is put among the dead.
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
}

/// Writes each event as a JSON line to standard output, or hands it to a command, until told to stop.
pub(super) async fn run(consume: Consume, settings: &Settings) -> anyhow::Result<ExitCode> {
    let address = settings.rabbitmq.clone().context("AMQP_URL is needed to listen")?;
    let Consume { queue, topics, exec } = consume;
    let mut consumer = Consumer::new(address, ConsumerSettings { queue, topics });
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

fn print(event: &Value) -> Handled {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{event}").and_then(|()| out.flush());
    if written.is_ok() { Handled::Done } else { Handled::Failed }
}

async fn execute(command: &str, event: &Value) -> Handled {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped());
    let input = event.to_string();
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = shell.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes()); // a command need not read it
        }
        child.wait()
    });
    match ran.await {
        Ok(Ok(status)) if status.success() => Handled::Done,
        outcome => {
            tracing::warn!(?outcome, "the command did not take an event");
            Handled::Failed
        }
    }
}
