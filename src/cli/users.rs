//! `enroll users …`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::{
    account_fields::{Cells, parse_account, parse_claims},
    import::{Format, ParsedLines, read_accounts},
    output::{Progress, line as print_text, print, print_line},
};
use crate::{
    app::{AdminServices, admin_services},
    config::Settings,
    domain::{AccountDetails, Address, Identifier, JsonObject, LoginId, PhoneRules, User},
    http::user_json,
};

#[derive(Subcommand)]
pub(super) enum Users {
    /// Create an account
    ///
    /// Its addresses count as verified, it has no password, and no message is sent.
    Create(Create),
    /// Create or update accounts from a file
    ///
    /// The first line of a CSV file names its columns, of `id,login_id,mobile,email,email_verified,mobile_verified,
    /// password_hash,name,locale,data,claims,created_at`; JSON lines are objects with these names. Every line is
    /// checked before anything is written. An empty cell leaves a value as it is. An interrupted import can be run
    /// again.
    Import {
        /// The file
        file: PathBuf,
        /// The file's form; by default JSON lines for .jsonl, .ndjson and .json, CSV otherwise
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Overwrite the values of existing accounts; otherwise different values are an error
        #[arg(long)]
        update: bool,
    },
    /// List accounts, the oldest first
    List(List),
    /// Show an account and its sessions
    Show(AccountArgument),
    /// Set the claims of an account
    ///
    /// They replace those that it has; its access tokens hold them from the next refresh on.
    Set {
        #[command(flatten)]
        account: AccountArgument,
        /// A JSON object, such as '{"role":"editor"}'; '{}' clears them
        #[arg(long, value_name = "JSON", value_parser = parse_claims)]
        claims: JsonObject,
    },
    /// Let an address register for 30 days, though registration is closed or its domain is not accepted
    ///
    /// A notice says so; the code comes when it registers.
    Invite {
        /// An email address or a mobile number
        address: String,
    },
    /// Disable an account: no login, no refresh, and its tokens are refused at once
    Disable(AccountArgument),
    /// Enable a disabled account
    Enable(AccountArgument),
    /// Delete an account and all personal data
    Delete(AccountArgument),
    /// Write every account and its sessions as a JSON line
    Export,
}

#[derive(Args)]
pub(super) struct AccountArgument {
    /// An account: its id, email, mobile or login id
    pub(super) who: String,
}

#[derive(Args)]
pub(super) struct List {
    /// Only accounts in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only accounts that have proven an address of this kind
    #[arg(long, value_enum)]
    proven: Option<Proven>,
    /// Only accounts whose email, mobile, login id or name contains this text
    #[arg(long, value_name = "TEXT")]
    containing: Option<String>,
    /// At most so many accounts
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Enabled,
    Disabled,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Proven {
    Email,
    Mobile,
}

impl List {
    fn includes(&self, user: &User) -> bool {
        let state = if user.disabled_at.is_some() { State::Disabled } else { State::Enabled };
        let has_proven = |kind| match kind {
            Proven::Email => user.email_verified,
            Proven::Mobile => user.mobile_verified,
        };
        let identifiers = &user.identifiers;
        let texts = [
            identifiers.email.as_ref().map(|email| email.as_str().to_owned()),
            identifiers.mobile.as_ref().map(|mobile| mobile.as_str().to_owned()),
            identifiers.login_id.as_ref().map(|login_id| login_id.as_str().to_owned()),
            user.name.clone(),
        ];
        let contains = |part: &String| {
            let part = part.to_lowercase();
            texts.iter().flatten().any(|text| text.to_lowercase().contains(&part))
        };
        self.state.is_none_or(|wanted| wanted == state)
            && self.proven.is_none_or(has_proven)
            && self.containing.as_ref().is_none_or(contains)
    }
}

#[derive(Args)]
pub(super) struct Create {
    /// A user name
    #[arg(long)]
    login_id: Option<String>,
    /// A mobile number, such as +919876543210
    #[arg(long)]
    mobile: Option<String>,
    /// An email address
    #[arg(long)]
    email: Option<String>,
    /// The person's name
    #[arg(long)]
    name: Option<String>,
    /// The language of messages, such as hi or en-GB
    #[arg(long)]
    locale: Option<String>,
    /// A JSON object for its access tokens, such as '{"role":"editor"}'
    #[arg(long, value_name = "JSON", value_parser = parse_claims)]
    claims: Option<JsonObject>,
}

pub(super) async fn run(command: Users, settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let admin = admin_services(settings).await?;
    let code = match command {
        Users::Create(create) => {
            let user = admin.accounts.create(details(&create, &settings.phone)?).await?;
            print(&user_json(&user, None), as_json);
            ExitCode::SUCCESS
        }
        Users::Import { file, format, update } => {
            let format = format.unwrap_or_else(|| Format::of(&file));
            let read = read_accounts(&file, format, &settings.phone)?;
            import(&admin, read, update, as_json).await?
        }
        Users::Invite { address: text } => {
            let invited = super::address(&text, settings)?;
            let ends_at = admin.accounts.invite(&invited).await?;
            print(&json!({"address": invited.masked(), "ends_at": ends_at}), as_json);
            ExitCode::SUCCESS
        }
        Users::List(list) => print_list(&admin, &list, as_json).await?,
        Users::Show(AccountArgument { who }) => {
            let user = find(&admin, settings, &who).await?;
            let sessions = admin.sessions.list(&user).await?;
            print(&with_operators_part(user_json(&user, Some(sessions)), &user), as_json);
            ExitCode::SUCCESS
        }
        Users::Set { account: AccountArgument { who }, claims } => {
            let user = find(&admin, settings, &who).await?;
            print(&user_json(&admin.accounts.set_claims(&user, &claims).await?, None), as_json);
            ExitCode::SUCCESS
        }
        Users::Disable(AccountArgument { who }) => {
            let user = find(&admin, settings, &who).await?;
            admin.accounts.disable(&user).await?;
            print_status(&user, "disabled", as_json)
        }
        Users::Enable(AccountArgument { who }) => {
            let user = find(&admin, settings, &who).await?;
            admin.accounts.enable(&user).await?;
            print_status(&user, "enabled", as_json)
        }
        Users::Delete(AccountArgument { who }) => {
            let user = find(&admin, settings, &who).await?;
            admin.accounts.delete(&user).await?;
            print_status(&user, "deleted", as_json)
        }
        Users::Export => export(&admin).await?,
    };
    admin.store.close().await;
    Ok(code)
}

fn print_status(user: &User, status: &str, as_json: bool) -> ExitCode {
    print(&json!({"id": user.id, "status": status}), as_json);
    ExitCode::SUCCESS
}

/// Finds an account by its id, email, mobile or login id.
pub(super) async fn find(admin: &AdminServices, settings: &Settings, who: &str) -> anyhow::Result<User> {
    // A text that reads as a number is one: an account with such a login id is found by its id.
    let address = Address::parse(who, &settings.phone).map(Identifier::Address);
    let identifier = address.or_else(|_| LoginId::parse(who).map(Identifier::LoginId)).ok();
    let found = admin.accounts.find(Uuid::try_parse(who).ok(), identifier.as_ref()).await;
    found.map_err(|error| match error {
        crate::error::Error::NotFound => anyhow::anyhow!("no account matches {who:?}"),
        other => other.into(),
    })
}

fn details(create: &Create, phone: &PhoneRules) -> anyhow::Result<AccountDetails> {
    let Create { login_id, mobile, email, name, locale, claims } = create;
    ensure!(mobile.is_some() || email.is_some(), "give --mobile or --email");
    let mut cells = Cells::default();
    for (cell, text) in cells.iter_mut().zip([login_id, mobile, email, name, locale]) {
        *cell = text.as_deref().unwrap_or_default();
    }
    let details = parse_account(cells, phone).map_err(anyhow::Error::msg)?;
    Ok(AccountDetails { claims: claims.clone(), ..details })
}

async fn import(
    admin: &AdminServices,
    (accounts, mut invalid): ParsedLines,
    update: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (lines, accounts): (Vec<u64>, Vec<AccountDetails>) = accounts.into_iter().unzip();
    let planned = admin.accounts.plan_import(accounts, update).await?;
    let plan = match planned {
        Ok(plan) if invalid.is_empty() => plan,
        planned => {
            let conflicts = planned.err().unwrap_or_default();
            invalid.extend(conflicts.into_iter().map(|conflict| (lines[conflict.index], conflict.message)));
            invalid.sort_unstable();
            print_invalid(&invalid, as_json);
            let lines =
                if invalid.len() == 1 { "1 line is".to_owned() } else { format!("{} lines are", invalid.len()) };
            bail!("{lines} invalid; nothing was imported");
        }
    };
    let counts = json!({"created": plan.created(), "updated": plan.updated(), "unchanged": plan.unchanged()});
    let mut progress = Progress::new(plan.created() + plan.updated());
    admin.accounts.import(plan, |done| progress.show(done)).await?;
    progress.finish();
    print(&counts, as_json);
    Ok(ExitCode::SUCCESS)
}

fn print_invalid(lines: &[(u64, String)], as_json: bool) {
    for (line, message) in lines {
        if as_json {
            print_text(json!({"line": line, "error": message}));
        } else {
            eprintln!("enroll: line {line}: {message}");
        }
    }
}

async fn print_list(admin: &AdminServices, filter: &List, as_json: bool) -> anyhow::Result<ExitCode> {
    let (mut last, mut remaining) = (Uuid::nil(), filter.limit.unwrap_or(usize::MAX));
    loop {
        let page = admin.accounts.page_after(last).await?;
        let Some((user, _)) = page.last() else { return Ok(ExitCode::SUCCESS) };
        last = user.id;
        for (user, _) in page.iter().filter(|(user, _)| filter.includes(user)).take(remaining) {
            print_line(&user_json(user, None), as_json);
            remaining -= 1;
        }
        if remaining == 0 {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn export(admin: &AdminServices) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut last = Uuid::nil();
    loop {
        let page = admin.accounts.page_after(last).await?;
        let Some((user, _)) = page.last() else { break };
        last = user.id;
        for (user, sessions) in page {
            writeln!(out, "{}", user_json(&user, Some(sessions))).context("standard output")?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Adds the part of an account that only an operator is shown.
fn with_operators_part(mut json: serde_json::Value, user: &User) -> serde_json::Value {
    for (name, at) in [
        ("session_opened_at", Some(user.session_opened_at)),
        ("email_suspended_until", user.email_suspended_until),
        ("mobile_suspended_until", user.mobile_suspended_until),
        ("password_closed_at", user.password_closed_at),
    ] {
        if let Some(at) = at {
            json[name] = serde_json::json!(at);
        }
    }
    json
}
