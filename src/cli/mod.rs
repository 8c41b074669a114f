//! The command line. Exit codes: 0 done, 1 it could not be done, 2 the command line or the settings
//! are wrong. `--json` prints one JSON value a line, for programs.

mod check_config;
mod consume_events;
mod deliveries;
mod import;
mod logging;
mod output;
mod sessions;
mod users;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{Running, Surroundings, admin_services, migrate},
    config::{LogFormat, Settings, Sources},
    crypto::{RootKey, sha256},
    domain::{Address, Clock as _, OsRandom, Random, SystemClock},
    http,
};

/// Registers users and proves, by a one-time code, that they hold the phone or mailbox they claim.
#[derive(Parser)]
#[command(name = "enroll", version)]
struct Cli {
    /// Settings file; without it `enroll.toml`, where there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Take requests (what is done without a command, too).
    Serve,
    /// Bring the database's schema up to date, and no more.
    Migrate,
    /// Tell all that is wrong or unwise in the settings, and whether the parts can be reached.
    CheckConfig,
    /// Print the `OpenAPI` document.
    Openapi,
    /// Root keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Accounts.
    #[command(subcommand)]
    Users(users::Users),
    /// Sessions.
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Messages.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// Send a test message by the providers as they are set.
    SendTest(deliveries::SendTest),
    /// Listen to events: a JSON line each, or a command run for each.
    ConsumeEvents(consume_events::Consume),
    /// Events.
    #[command(subcommand)]
    Events(Events),
    /// Limits on destinations.
    #[command(subcommand)]
    Limits(Limits),
}

#[derive(Subcommand)]
enum Keys {
    /// Print a new root key, for `ENROLL__SECRETS__KEY`.
    Generate,
}

#[derive(Subcommand)]
enum Events {
    /// Publish those again that nobody listened to.
    Retry,
}

#[derive(Subcommand)]
enum Limits {
    /// Forget what was sent to an address, guessed at it, and its wrong passwords.
    Lift {
        /// An email or a mobile.
        address: String,
    },
}

/// Runs the command line; the process' exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Keys(Keys::Generate)) = cli.command {
        println!("{}", RootKey::from_bytes((&OsRandom as &dyn Random).bytes()).to_base64());
        return ExitCode::SUCCESS;
    }
    let settings =
        Sources::of_process(cli.config).map_err(|problem| vec![problem]).and_then(|sources| Settings::load(&sources));
    let settings = match settings {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                eprintln!("enroll: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    logging::start(&settings);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(execute(cli.command.unwrap_or(Command::Serve), &settings, cli.json)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("enroll: {error:#}");
    ExitCode::FAILURE
}

async fn execute(command: Command, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve(settings).await?,
        Command::Migrate => migrate(settings).await?,
        Command::CheckConfig => return check_config::check(settings).await,
        Command::Openapi => println!("{}", http::openapi(&settings.server).to_pretty_json()?),
        Command::Keys(Keys::Generate) => {}
        Command::Deliveries(command) => return deliveries::run(command, settings, as_json).await,
        Command::SendTest(test) => return deliveries::send_test(test, settings, as_json).await,
        Command::ConsumeEvents(command) => return consume_events::run(command, settings).await,
        Command::Events(Events::Retry) => {
            let store = admin_services(settings).await?.store;
            output::print(&serde_json::json!({"retried": store.unpark_events().await?}), as_json);
            store.close().await;
        }
        Command::Users(command) => return users::run(command, settings, as_json).await,
        Command::Sessions(command) => return sessions::run(command, settings, as_json).await,
        Command::Limits(Limits::Lift { address }) => lift(settings, &address, as_json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut running = tokio::select! {
        started = Running::start(settings, Surroundings::default()) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    if settings.log == LogFormat::Text {
        eprintln!("Enroll listens on http://{0}  (try http://{0}/docs)", running.address);
        if settings.notify.inbox {
            eprintln!("Codes are printed here, and listed at http://{}/dev/inbox", running.address);
        }
    }
    tokio::select! {
        () = running.broken() => anyhow::bail!("a part of the server ended; the log says which"),
        _ = terminate.recv() => {
            // A balancer that looks now sees that it should send no more.
            running.stop_soon();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

async fn lift(settings: &Settings, text: &str, as_json: bool) -> anyhow::Result<()> {
    let address = Address::parse(text, &settings.phone).map_err(|error| anyhow::anyhow!("{error}"))?;
    let store = admin_services(settings).await?.store;
    store.lift_limits(&sha256(address.key().as_bytes()), SystemClock.now()).await?;
    output::print(&serde_json::json!({"address": address.masked(), "status": "lifted"}), as_json);
    store.close().await;
    Ok(())
}
