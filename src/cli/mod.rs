//! The command line.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line or the settings are invalid. `--json` prints one JSON value a line,
//! for programs.

mod abuse;
mod account_fields;
mod audit;
mod backup;
mod check_config;
mod consume_events;
mod deliveries;
mod events;
mod health;
mod import;
mod logging;
mod output;
mod sessions;
mod users;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{Application, Environment, admin_services, migrate},
    config::{LogFormat, Settings, Sources},
    crypto::RootKey,
    domain::{Address, OsRandom, Random},
    error::Error,
    http, telemetry,
};

/// Registers users and proves, by a one-time code, that they hold the phone or mailbox they claim.
#[derive(Parser)]
#[command(name = "enroll", version)]
struct Cli {
    /// The settings file [default: enroll.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Migrate the database
    Migrate,
    /// Check the settings and the connections
    CheckConfig,
    /// Report whether the server that runs here should get requests: exit code 0, or 1
    Health,
    /// Copy the embedded database while it is used
    Backup {
        /// The new file; it must not exist
        file: PathBuf,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Manage root keys
    #[command(subcommand)]
    Keys(Keys),
    /// Manage accounts
    #[command(subcommand)]
    Users(users::Users),
    /// Manage sessions
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Show what happened to accounts and addresses, the newest thousand lines
    Audit(audit::Audit),
    /// Explain why a code did or did not arrive
    Why {
        /// An email address or a mobile number
        address: String,
    },
    /// Manage messages
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// Send a test message by the configured providers
    SendTest(deliveries::SendTest),
    /// Consume events: print them as JSON lines, or run a command for each
    ConsumeEvents(consume_events::ConsumeEvents),
    /// Manage events
    #[command(subcommand)]
    Events(events::Events),
    /// Manage rate limits
    #[command(subcommand)]
    Limits(Limits),
    /// The guard against SMS pumping, which no request asks yet
    #[command(subcommand)]
    Abuse(abuse::Abuse),
}

#[derive(Subcommand)]
enum Keys {
    /// Print a new root key
    Generate,
}

#[derive(Subcommand)]
enum Limits {
    /// Reset the rate limits of an email or mobile
    Lift {
        /// An email address or a mobile number
        address: String,
    },
}

/// Runs the command line, and returns the exit code of the process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Keys(Keys::Generate)) => {
            output::line(RootKey::from_bytes((&OsRandom as &dyn Random).bytes()).to_base64());
            return ExitCode::SUCCESS;
        }
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "enroll", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        _ => {}
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
    let code = match runtime.block_on(execute(cli.command.unwrap_or(Command::Serve), &settings, cli.json)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    };
    telemetry::finish();
    code
}

fn failed(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Error>() {
        Some(Error::Invalid(fields)) => {
            for field in fields {
                eprintln!("enroll: {} {}", field.field, field.message);
            }
        }
        _ => eprintln!("enroll: {error:#}"),
    }
    ExitCode::FAILURE
}

async fn execute(command: Command, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve(settings).await?,
        Command::Migrate => migrate(settings).await?,
        Command::CheckConfig => return check_config::check(settings).await,
        Command::Openapi => output::line(http::openapi(&settings.server).to_pretty_json()?),
        Command::Keys(Keys::Generate) | Command::Completions { .. } => {}
        Command::Health => return health::check(settings).await,
        Command::Backup { file } => backup::backup(settings, &file, as_json).await?,
        Command::Audit(command) => return audit::audit(command, settings, as_json).await,
        Command::Why { address } => return audit::why(&address, settings, as_json).await,
        Command::Deliveries(command) => return deliveries::run(command, settings, as_json).await,
        Command::SendTest(test) => return deliveries::send_test(test, settings, as_json).await,
        Command::ConsumeEvents(command) => return consume_events::run(command, settings).await,
        Command::Events(command) => events::run(command, settings, as_json).await?,
        Command::Users(command) => return users::run(command, settings, as_json).await,
        Command::Sessions(command) => return sessions::run(command, settings, as_json).await,
        Command::Abuse(command) => return abuse::run(command, settings, as_json).await,
        Command::Limits(Limits::Lift { address }) => lift(settings, &address, as_json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `signal(7)`; the same number on all Linux platforms but MIPS.
const SIGXFSZ: i32 = 25;

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Beyond a limit of file sizes a write fails, as on a full disk, and the process lives on.
    let _file_size_exceeded = signal(SignalKind::from_raw(SIGXFSZ))?;
    let mut application = tokio::select! {
        started = Application::start(settings, Environment::default()) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    greet(settings, &application);
    tokio::select! {
        () = application.failed() => anyhow::bail!("a task of the server ended; see the log"),
        _ = terminate.recv() => {
            tracing::info!(seconds = settings.server.drain.as_secs(), "draining");
            tokio::select! {
                () = application.drain() => {}
                _ = interrupt.recv() => {} // somebody does not want to wait
            }
        }
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    application.stop().await;
    Ok(())
}

/// For the person who started it: beside the codes that are printed, or else on a terminal.
fn greet(settings: &Settings, application: &Application) {
    let address = application.address;
    let greeting = format!("Enroll is listening on http://{address}  (try http://{address}/docs)");
    // A standard output that takes nothing is no reason to stop.
    if settings.notify.prints_codes() {
        let _ = writeln!(std::io::stdout(), "{greeting}");
    } else if settings.log == LogFormat::Text {
        let _ = writeln!(std::io::stderr(), "{greeting}");
    }
    if settings.notify.inbox {
        let _ = writeln!(std::io::stdout(), "Codes are printed here, and shown at http://{address}/dev/inbox");
    }
}

async fn lift(settings: &Settings, text: &str, as_json: bool) -> anyhow::Result<()> {
    let address = address(text, settings)?;
    let admin = admin_services(settings).await?;
    admin.accounts.lift_limits(&address).await?;
    output::print(&json!({"address": address.masked(), "status": "lifted"}), as_json);
    admin.store.close().await;
    Ok(())
}

fn address(text: &str, settings: &Settings) -> anyhow::Result<Address> {
    Address::parse(text, &settings.phone)
        .map_err(|_| anyhow::anyhow!("{text:?} is neither an email address nor a mobile number"))
}
