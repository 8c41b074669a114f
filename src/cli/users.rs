//! `enroll users …`: accounts as an operator sees them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{
    import::{person as person_of, read_people},
    output::{Progress, print},
};
use crate::{
    app::{Operator, admin_services},
    config::Settings,
    domain::{Address, FieldError, LoginId, PhoneRules, User},
    http::user_json,
    services::Person,
};

#[derive(Subcommand)]
pub(super) enum Users {
    /// Make an account; its names are taken as proven, it has no password, and no message is sent.
    Create(Create),
    /// Make or update accounts out of a CSV file with the header `login_id,mobile,email,name,locale`.
    ///
    /// Every line is checked before the first is written. An empty cell says nothing: what is there
    /// stays. Broken off, the same import goes on where it was.
    Import {
        file: PathBuf,
        /// Give accounts that are there the file's values; else other values are an error.
        #[arg(long)]
        update: bool,
    },
    /// Show an account and its sessions.
    Show { who: String },
    /// Keep an account out: no login, no refresh, and its tokens are refused at once.
    Disable { who: String },
    /// Let a disabled account in again.
    Enable { who: String },
    /// Remove an account and all that names its person.
    Delete { who: String },
    /// Write a JSON line for each account: the answer of `/users/me`, and `sessions`.
    Export,
}

#[derive(Args)]
pub(super) struct Create {
    #[arg(long)]
    login_id: Option<String>,
    #[arg(long)]
    mobile: Option<String>,
    #[arg(long)]
    email: Option<String>,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    locale: Option<String>,
}

pub(super) async fn run(command: Users, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let operator = admin_services(settings).await?;
    let code = match command {
        Users::Create(create) => {
            let person = person(&create, &settings.phone).map_err(|error| anyhow::anyhow!("{error}"))?;
            let user = operator.accounts.create(person).await?;
            print(&user_json(&user, None), as_json);
            ExitCode::SUCCESS
        }
        Users::Import { file, update } => import(&operator, settings, &file, update, as_json).await?,
        Users::Show { who } => {
            let user = find(&operator, settings, &who).await?;
            let sessions = operator.sessions.list(&user).await?;
            print(&user_json(&user, Some(sessions)), as_json);
            ExitCode::SUCCESS
        }
        Users::Disable { who } => {
            let user = find(&operator, settings, &who).await?;
            operator.accounts.disable(&user).await?;
            told(&user, "disabled", as_json)
        }
        Users::Enable { who } => {
            let user = find(&operator, settings, &who).await?;
            operator.accounts.enable(&user).await?;
            told(&user, "enabled", as_json)
        }
        Users::Delete { who } => {
            let user = find(&operator, settings, &who).await?;
            operator.accounts.delete(&user).await?;
            told(&user, "deleted", as_json)
        }
        Users::Export => export(&operator).await?,
    };
    operator.store.close().await;
    Ok(code)
}

fn told(user: &User, what: &str, as_json: bool) -> ExitCode {
    print(&json!({"id": user.id, "status": what}), as_json);
    ExitCode::SUCCESS
}

/// By id, email, mobile or login id.
pub(super) async fn find(operator: &Operator, settings: &Settings, who: &str) -> anyhow::Result<User> {
    let id = Uuid::try_parse(who).ok();
    let address = Address::parse(who, &settings.phone).ok();
    // What reads as a number is one: a login id that looks like it is found by its account's id.
    let login_id = LoginId::parse(who).ok().filter(|_| address.is_none());
    let found = operator.accounts.find(id, address.as_ref(), login_id.as_ref()).await;
    found.with_context(|| format!("no account is found by {who:?}"))
}

fn person(create: &Create, phone: &PhoneRules) -> Result<Person, FieldError> {
    let Create { login_id, mobile, email, name, locale } = create;
    person_of([login_id, mobile, email, name, locale].map(|text| text.as_deref().unwrap_or_default()), phone)
}

async fn import(
    operator: &Operator,
    settings: &Settings,
    file: &Path,
    update: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (people, mut wrong) = read_people(file, &settings.phone)?;
    let (lines, people): (Vec<u64>, Vec<Person>) = people.into_iter().unzip();
    let planned = operator.accounts.plan(people, update).await?;
    let plan = match planned {
        Ok(plan) if wrong.is_empty() => plan,
        planned => {
            let conflicts = planned.err().unwrap_or_default();
            wrong.extend(conflicts.into_iter().map(|(place, message)| (lines[place], message)));
            wrong.sort_unstable();
            for (line, message) in &wrong {
                if as_json {
                    println!("{}", json!({"line": line, "error": message}));
                } else {
                    eprintln!("enroll: line {line}: {message}");
                }
            }
            bail!("{} of the file's lines are wrong; nothing was written", wrong.len());
        }
    };
    let (created, updated, unchanged) = (plan.created(), plan.updated(), plan.unchanged);
    let mut progress = Progress::new(created + updated);
    operator.accounts.carry_out(plan, |done| progress.show(done)).await?;
    progress.finish();
    print(&json!({"created": created, "updated": updated, "unchanged": unchanged}), as_json);
    Ok(ExitCode::SUCCESS)
}

async fn export(operator: &Operator) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut last = Uuid::nil();
    loop {
        let users = operator.accounts.after(last).await?;
        let Some((user, _)) = users.last() else { break };
        last = user.id;
        for (user, sessions) in users {
            writeln!(out, "{}", user_json(&user, Some(sessions)))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
