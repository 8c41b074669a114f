use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use super::{Problem, Sources, reader::Reader};
use crate::{
    crypto::{HashingCost, Keyring, RootKey, TokenSettings},
    domain::{CodePolicy, PhoneRules, Region, Windows},
    services::{CodeSettings, LimitSettings, SessionSettings},
    store::StoreSettings,
};

/// Everything that can be set; `.env.example` tells each with its default.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub store: StoreSettings,
    /// `None`: codes and counters in memory.
    pub redis_url: Option<SecretString>,
    pub redis_timeout: Duration,
    /// Events are published by a later version; until then the URL is only remarked on.
    pub amqp_url_given: bool,
    pub server: ServerSettings,
    /// `None`: made once into the data directory (`SQLite` only).
    pub keyring: Option<Keyring>,
    pub tokens: TokenSettings,
    pub sessions: SessionSettings,
    pub codes: CodeSettings,
    pub registrations_ttl: Duration,
    pub limits: LimitSettings,
    pub limits_enabled: bool,
    pub hashing: HashingCost,
    pub password_min_length: usize,
    pub phone: PhoneRules,
    pub notify: NotifySettings,
    pub log: LogFormat,
    /// `RUST_LOG`
    pub log_levels: Option<String>,
    pub log_foreign: bool,
}

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub address: SocketAddr,
    pub public_url: String,
    pub prefixes: Vec<String>,
    pub single_node: bool,
    /// Whose word on a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    pub address_header: AddressHeader,
    pub cors_origins: Vec<String>,
    pub request_timeout: Duration,
    pub header_timeout: Duration,
    pub max_connections: usize,
}

/// The one header that a trusted proxy tells a client's address in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHeader {
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

#[derive(Debug, Clone)]
pub struct NotifySettings {
    pub brand: String,
    pub sms: Vec<SmsProvider>,
    pub email: Vec<EmailProvider>,
    pub inbox: bool,
    pub inbox_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsProvider {
    Console,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailProvider {
    Console,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

const DAY: u64 = 86_400;
const YEAR: u64 = 366 * DAY;

impl Settings {
    /// # Errors
    ///
    /// All that is wrong, not just the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let mut values = sources.read().map_err(|problem| vec![problem])?;
        if let Some(levels) = sources.environment.get("RUST_LOG").or(sources.dot_env.get("RUST_LOG")) {
            values.insert("rust_log".to_owned(), levels.clone());
        }
        let mut reader = Reader::new(values);
        let settings = Self::read(&mut reader);
        let (problems, _) = reader.finish();
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// The name of every setting, in the order they are read.
    pub fn names() -> Vec<&'static str> {
        let mut reader = Reader::new(std::collections::BTreeMap::new());
        Self::read(&mut reader);
        reader.finish().1
    }

    fn read(from: &mut Reader) -> Self {
        let data_dir = PathBuf::from(from.text("data_dir").unwrap_or_else(|| "./data".to_owned()));
        let store = store(from, &data_dir);
        let embedded = store.url.starts_with("sqlite:");
        let server = server(from);
        let redis_url = from.text("redis.url");
        if redis_url.is_none() && !embedded && !server.single_node {
            from.problem("redis.url", "is needed beside PostgreSQL, unless ENROLL__SERVER__SINGLE_NODE is true");
        }
        if let Some(url) = &redis_url {
            let known = ["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme));
            if url.starts_with("redis+cluster://") || url.starts_with("redis+sentinel://") {
                from.problem("redis.url", "Cluster and Sentinel are not built yet");
            } else if !known {
                from.problem("redis.url", "is neither redis:// nor rediss://");
            }
        }
        let (tokens, sessions) = tokens(from);
        let limits_enabled = from.flag("limits.enabled", true);
        let limits = limits(from, limits_enabled);
        later(from);
        Self {
            redis_url: redis_url.map(SecretString::from),
            redis_timeout: from.seconds("redis.timeout", 1, 1..=10),
            amqp_url_given: from.text("events.url").is_some(),
            keyring: keyring(from, embedded),
            tokens,
            sessions,
            codes: codes(from, &limits),
            registrations_ttl: from.seconds("registrations.ttl", 3_600, 60..=7 * DAY),
            limits_enabled,
            limits,
            hashing: hashing(from),
            password_min_length: from.small("passwords.min_length", 8, 8..=64) as usize,
            phone: phone(from),
            notify: notify(from, embedded, server.address),
            log: log_format(from),
            log_levels: from.text("rust_log"),
            log_foreign: from.flag("log.foreign", false),
            data_dir,
            store,
            server,
        }
    }
}

fn store(from: &mut Reader, data_dir: &std::path::Path) -> StoreSettings {
    let embedded = format!("sqlite://{}", data_dir.join("enroll.db").display());
    let url = from.parsed("database.url", embedded, |url| {
        let known = ["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| url.starts_with(scheme));
        known.then(|| url.to_owned()).ok_or("is neither postgres:// nor sqlite://")
    });
    StoreSettings {
        url,
        max_connections: from.small("database.max_connections", 8, 1..=1_000),
        timeout: from.seconds("database.timeout", 1, 1..=10),
    }
}

fn server(from: &mut Reader) -> ServerSettings {
    let address = from.parsed("server.address", SocketAddr::from(([127, 0, 0, 1], 8000)), |text| {
        text.parse().map_err(|_| "is not an address and a port")
    });
    let prefixes = from.list("server.prefixes").unwrap_or_else(|| vec!["/api/v1".to_owned()]);
    for prefix in &prefixes {
        let fits = prefix == "/" || (prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains(['{', '*']));
        if !fits || prefixes.iter().filter(|other| *other == prefix).count() > 1 {
            from.problem("server.prefixes", "are paths that begin with a slash and end without, each once; or /");
            break;
        }
    }
    let trusted_proxies = from.list("server.trusted_proxies").unwrap_or_default();
    let trusted_proxies = trusted_proxies.iter().filter_map(|text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        network.map_err(|_| from.problem("server.trusted_proxies", "are networks, as 10.0.0.0/8")).ok()
    });
    ServerSettings {
        trusted_proxies: trusted_proxies.collect(),
        public_url: from.text("server.public_url").unwrap_or_else(|| format!("http://{address}")),
        address,
        prefixes,
        single_node: from.flag("server.single_node", false),
        address_header: from.parsed("server.client_address_header", AddressHeader::XForwardedFor, |text| {
            match text.to_ascii_lowercase().as_str() {
                "x-forwarded-for" => Ok(AddressHeader::XForwardedFor),
                "forwarded" => Ok(AddressHeader::Forwarded),
                _ => Err("is neither x-forwarded-for nor forwarded"),
            }
        }),
        cors_origins: from.parsed("server.cors_origins", Vec::new(), origins),
        request_timeout: from.seconds("server.request_timeout", 10, 1..=300),
        header_timeout: from.seconds("server.header_timeout", 10, 1..=300),
        max_connections: from.small("server.max_connections", 10_000, 1..=1_000_000) as usize,
    }
}

fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let exact = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', ' ']))
    };
    origins
        .map(|origin| exact(origin).then(|| origin.to_owned()).ok_or("are exact origins, as https://app.example.com"))
        .collect()
}

fn keyring(from: &mut Reader, embedded: bool) -> Option<Keyring> {
    const FORM: &str = "is not 32 random octets in base64; `enroll keys generate` prints one";
    let key = from.text("secrets.key").map(|text| RootKey::from_base64(&text));
    if matches!(key, Some(None)) {
        from.problem("secrets.key", FORM);
    }
    if key.is_none() && !embedded {
        from.problem("secrets.key", "must be given beside PostgreSQL; `enroll keys generate` prints one");
    }
    let previous = from.list("secrets.previous_keys").unwrap_or_default();
    let previous: Option<Vec<RootKey>> = previous.iter().map(|text| RootKey::from_base64(text)).collect();
    if previous.is_none() {
        from.problem("secrets.previous_keys", FORM);
    }
    key.flatten().map(|key| Keyring::new(key, previous.unwrap_or_default()))
}

fn tokens(from: &mut Reader) -> (TokenSettings, SessionSettings) {
    let tokens = TokenSettings {
        issuer: from.text("tokens.issuer").unwrap_or_else(|| "enroll".to_owned()),
        audience: from.text("tokens.audience").unwrap_or_else(|| "enroll".to_owned()),
        access_ttl: from.seconds("tokens.access_ttl", 1_800, 60..=DAY),
    };
    let sessions = SessionSettings {
        refresh_ttl: from.seconds("tokens.refresh_ttl", 2_592_000, 60..=YEAR),
        session_ttl: from.seconds("tokens.session_ttl", 7_776_000, 60..=10 * YEAR),
    };
    (tokens, sessions)
}

fn codes(from: &mut Reader, limits: &LimitSettings) -> CodeSettings {
    CodeSettings {
        registration_sms: CodePolicy {
            digits: from.small("codes.registration_sms.digits", 6, 4..=10),
            ttl: from.seconds("codes.registration_sms.ttl", 300, 10..=DAY),
            tries: from.small("codes.registration_sms.tries", 5, 1..=100),
        },
        registration_email: CodePolicy {
            digits: from.small("codes.registration_email.digits", 4, 4..=10),
            ttl: from.seconds("codes.registration_email.ttl", 60, 10..=DAY),
            tries: from.small("codes.registration_email.tries", 3, 1..=100),
        },
        resend_after: from.seconds("codes.resend_after", 30, 0..=3_600),
        sends_per_destination: limits.sends_per_destination.clone(),
    }
}

fn limits(from: &mut Reader, enabled: bool) -> LimitSettings {
    let mut windows = |setting: &'static str, default: &str| {
        let read = from.parsed(setting, None, |text| Windows::parse(text).map(Some));
        let windows = read.unwrap_or_else(|| Windows::parse(default).unwrap_or_default());
        if enabled { windows } else { Windows::unlimited() }
    };
    LimitSettings {
        sends_per_client: windows("limits.sends_per_client", "5/60"),
        sends_per_destination: windows("limits.sends_per_destination", "5/3600,10/86400"),
        wrong_tries_per_destination: windows("limits.wrong_tries_per_destination", "10/3600,20/86400"),
        wrong_tries_per_client: windows("limits.wrong_tries_per_client", "50/3600"),
        login_failures_per_identifier: windows("limits.login_failures_per_identifier", "10/3600"),
        login_failures_per_client: windows("limits.login_failures_per_client", "50/3600"),
        logins_per_client: windows("limits.logins_per_client", "60/60"),
    }
}

fn hashing(from: &mut Reader) -> HashingCost {
    let cost = HashingCost {
        memory_kib: from.small("passwords.memory_kib", 19_456, 8..=1 << 20),
        iterations: from.small("passwords.iterations", 2, 1..=64),
        parallelism: from.small("passwords.parallelism", 1, 1..=16),
    };
    if cost.memory_kib < 8 * cost.parallelism {
        from.problem("passwords.memory_kib", "is less than 8 KiB for each lane (RFC 9106, 3.1)");
    }
    cost
}

fn phone(from: &mut Reader) -> PhoneRules {
    let region = |text: &str| Region::try_from(text).map_err(|_| "is no country of two letters, as IN");
    PhoneRules {
        default_region: from.parsed("phone.default_region", Region::IN, region),
        allowed_regions: from.parsed("phone.allowed_regions", Vec::new(), |text| {
            text.split(',').map(|one| region(one.trim())).collect::<Result<_, _>>()
        }),
    }
}

fn notify(from: &mut Reader, embedded: bool, address: SocketAddr) -> NotifySettings {
    let sms = providers(from, "notify.sms", embedded, &["twilio", "sns", "webhook"]);
    let email = providers(from, "notify.email", embedded, &["smtp", "webhook"]);
    let by_default = embedded && address.ip().is_loopback();
    let named = from.text("notify.inbox");
    let inbox = match named.as_deref() {
        None => by_default,
        Some("true") => true,
        Some("false") => false,
        Some(_) => {
            from.problem("notify.inbox", "is neither true nor false");
            false
        }
    };
    NotifySettings {
        brand: from.parsed("notify.brand", "Enroll".to_owned(), |text| {
            let fits = text.chars().count() <= 40 && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned()).ok_or("is longer than 40 characters, or has a control character")
        }),
        sms: vec![SmsProvider::Console; sms],
        email: vec![EmailProvider::Console; email],
        inbox,
        inbox_named: named.is_some() && inbox,
    }
}

/// How often `console` is named: the one provider so far.
fn providers(from: &mut Reader, setting: &'static str, embedded: bool, later: &[&str]) -> usize {
    let Some(names) = from.list(setting) else {
        if !embedded {
            from.problem(setting, "must be given beside PostgreSQL: `console` prints codes");
        }
        return 1;
    };
    for name in &names {
        if later.contains(&name.as_str()) {
            from.problem(setting, format!("{name} is not built yet"));
        } else if name != "console" {
            from.problem(setting, format!("{name} is no provider"));
        }
    }
    1
}

fn log_format(from: &mut Reader) -> LogFormat {
    let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let default = if on_terminal { LogFormat::Text } else { LogFormat::Json };
    from.parsed("log.format", default, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither text nor json"),
    })
}

/// Settings of parts that are still to come.
fn later(from: &mut Reader) {
    from.not_built(&["privacy.conceal_accounts"], "false");
    from.not_built(&["tokens.algorithm"], "HS256");
    from.not_built(&["notify.default_locale"], "en");
    from.not_built(&["tokens.refresh_grace"], "30");
    from.not_built(&["tokens.fresh_for"], "300");
    from.not_built(&["events.exchange"], "enroll.events");
    from.not_built(&["events.unroutable"], "drop");
    from.not_built(&["events.personal_data"], "false");
    from.not_built(&["admin.address"], "off");
    let without_default = [
        "server.camel_prefixes",
        "tokens.private_key_file",
        "tokens.previous_key_files",
        "notify.templates_dir",
        "notify.webotp_domain",
        "notify.twilio.account_sid",
        "notify.twilio.auth_token",
        "notify.twilio.api_key",
        "notify.twilio.api_secret",
        "notify.twilio.from",
        "notify.twilio.messaging_service_sid",
        "notify.twilio.base_url",
        "notify.sns.region",
        "notify.sns.endpoint_url",
        "notify.sns.sender_id",
        "notify.sns.entity_id",
        "notify.sns.template_id",
        "notify.smtp.url",
        "notify.smtp.from",
        "notify.webhook.url",
        "notify.webhook.secret",
        "notify.webhook.previous_secret",
        "codes.login.digits",
        "codes.login.ttl",
        "codes.login.tries",
        "codes.password_reset.digits",
        "codes.password_reset.ttl",
        "codes.password_reset.tries",
        "codes.contact_change.digits",
        "codes.contact_change.ttl",
        "codes.contact_change.tries",
    ];
    from.not_built(&without_default, "");
}

impl Settings {
    /// What is legal and unwise.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.limits_enabled {
            remarks.push("ENROLL__LIMITS__ENABLED is false: nothing keeps anybody from guessing codes".to_owned());
        }
        if self.amqp_url_given {
            remarks.push("AMQP_URL is given, but events are not built yet: it is not used".to_owned());
        }
        if self.notify.inbox_named {
            remarks.push("ENROLL__NOTIFY__INBOX is on: anyone who reaches this server reads every code".to_owned());
        }
        if !self.server.address.ip().is_loopback() && self.server.trusted_proxies.is_empty() {
            remarks.push("no trusted proxies: behind one, all clients share its address and its limits".to_owned());
        }
        remarks
    }

    /// The Redis URL, for who connects.
    pub fn redis(&self) -> Option<&str> {
        self.redis_url.as_ref().map(ExposeSecret::expose_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { environment, ..Sources::default() };
        Settings::load(&sources).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_set_is_the_embedded_default() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.store.url, "sqlite://./data/enroll.db");
        assert!(settings.redis_url.is_none() && settings.notify.inbox);
        assert_eq!(settings.server.prefixes, ["/api/v1"]);
    }

    #[test]
    fn every_problem_is_told_by_the_name_it_has_in_the_environment() {
        let problems = load(&[
            ("ENROLL__SERVER__ADDRES", "127.0.0.1:1"),
            ("ENROLL__SERVER__ADDRESS", "nowhere"),
            ("ENROLL__CODES__REGISTRATION_SMS__DIGITS", "3"),
            ("ENROLL__LIMITS__SENDS_PER_CLIENT", "5"),
            ("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", "true"),
            ("ENROLL__SECRETS__KEY", "short"),
            ("ENROLL__PHONE__DEFAULT_REGION", "India"),
            ("ENROLL__NOTIFY__SMS", "pigeon"),
        ])
        .unwrap_err();
        for name in [
            "ENROLL__SERVER__ADDRES: is no setting",
            "ENROLL__SERVER__ADDRESS: ",
            "ENROLL__CODES__REGISTRATION_SMS__DIGITS: ",
            "ENROLL__LIMITS__SENDS_PER_CLIENT: ",
            "ENROLL__PRIVACY__CONCEAL_ACCOUNTS: is not built yet",
            "ENROLL__SECRETS__KEY: ",
            "ENROLL__PHONE__DEFAULT_REGION: ",
            "ENROLL__NOTIFY__SMS: pigeon",
        ] {
            assert_eq!(problems.iter().filter(|problem| problem.starts_with(name)).count(), 1, "{name} {problems:?}");
        }
        assert_eq!(problems.len(), 8, "{problems:?}");
    }

    #[test]
    fn postgresql_asks_for_redis_a_key_and_providers() {
        let problems = load(&[("DATABASE_URL", "postgres://db/enroll")]).unwrap_err();
        for name in ["REDIS_URL", "ENROLL__SECRETS__KEY", "ENROLL__NOTIFY__SMS", "ENROLL__NOTIFY__EMAIL"] {
            assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name}: {problems:?}");
        }
    }

    #[test]
    fn the_environment_wins_over_dot_env() {
        let sources = Sources {
            dot_env: [
                ("ENROLL__NOTIFY__BRAND".to_owned(), "Dot".to_owned()),
                ("REDIS_URL".to_owned(), "redis://dot".to_owned()),
            ]
            .into(),
            environment: [("ENROLL__NOTIFY__BRAND".to_owned(), "Env".to_owned())].into(),
            file: None,
        };
        let settings = Settings::load(&sources).unwrap();
        assert_eq!(settings.notify.brand, "Env");
        assert_eq!(settings.redis(), Some("redis://dot"));
    }
}
