//! Every setting with its default and its range.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{
    Problem, Sources,
    abuse::{AbuseSettings, abuse},
    codes_and_limits::{codes, hashing, limits, registrations_ttl},
    events::{EventSettings, events},
    notify::{NotifySettings, notify},
    reader::Reader,
    secrets::{keyring, tokens},
    test_identities::test_identities,
};
use crate::{
    crypto::{HashingCost, Keyring, TokenSettings},
    domain::{Email, PhoneRules, Region, RegistrationRules},
    engine::{CodeSettings, LimitSettings, SessionSettings},
    http::{ClientIpHeader, ServerSettings},
    redis::RedisUrl,
    store::StoreSettings,
};

/// Every setting; `.env.example` documents each with its default.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the embedded database and the generated root key are kept.
    pub data_dir: PathBuf,
    /// The database.
    pub store: StoreSettings,
    /// `None`: codes and counters in memory.
    pub redis: Option<RedisUrl>,
    /// The time limit of a Redis command.
    pub redis_timeout: Duration,
    /// Events and where they go.
    pub events: EventSettings,
    /// HTTP.
    pub server: ServerSettings,
    /// `None`: generated once into the data directory (SQLite only).
    pub keyring: Option<Keyring>,
    /// Access tokens.
    pub tokens: TokenSettings,
    /// Sessions.
    pub sessions: SessionSettings,
    /// Codes.
    pub codes: CodeSettings,
    /// How long a registration outlives its last code's sending.
    pub registrations_ttl: Duration,
    /// After so long without a session a code to its mobile alone opens no account; `None`: it always does.
    pub dormant_after: Option<Duration>,
    /// The rules of registering.
    pub registration_rules: RegistrationRules,
    /// Rate limits.
    pub limits: LimitSettings,
    /// Whether there are rate limits.
    pub limits_enabled: bool,
    /// The pumping guard, and challenges.
    pub abuse: AbuseSettings,
    /// The cost of a password hash.
    pub hashing: HashingCost,
    /// The least characters of a password.
    pub password_min_length: usize,
    /// The mobile numbers that are accepted.
    pub phone: PhoneRules,
    /// Messages and their providers.
    pub notify: NotifySettings,
    /// How long lines of the audit are kept.
    pub audit_keep: Duration,
    /// The collector of traces.
    pub otlp_endpoint: Option<String>,
    /// The form of the log.
    pub log: LogFormat,
    /// `RUST_LOG`
    pub log_levels: Option<String>,
    /// Whether other crates may log below info.
    pub log_foreign: bool,
    /// Variables that were meant for us and are ignored, with the right names.
    pub misspelled: Vec<(String, Option<String>)>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

pub(super) const DAY: u64 = 86_400;

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Every problem, not just the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(sources.read().map_err(|problem| vec![problem])?);
        let mut settings = Self::read(&mut reader);
        let (problems, known) = reader.finish();
        settings.misspelled = sources.misspelled(&known);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// The name of every setting, in the order they are read.
    pub fn names() -> Vec<&'static str> {
        let mut reader = Reader::new(std::collections::BTreeMap::new());
        Self::read(&mut reader);
        reader.finish().1
    }

    /// The database's URL without its password.
    pub fn database_without_password(&self) -> String {
        let url = &self.store.url;
        match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
            Some((scheme, host)) => format!("{scheme}://***@{host}"),
            None => url.clone(),
        }
    }

    /// Whether a laptop's inbox is off because messages go to a provider.
    pub fn hides_inbox(&self) -> bool {
        self.store.url.starts_with("sqlite:") && self.server.address.ip().is_loopback() && !self.notify.inbox
    }

    fn read(settings: &mut Reader) -> Self {
        let data_dir = PathBuf::from(settings.text("data_dir").unwrap_or_else(|| "./data".to_owned()));
        let store = store(settings, &data_dir);
        let embedded = store.url.starts_with("sqlite:");
        let server = server(settings);
        let redis = settings.parsed("redis_url", None, |url| RedisUrl::parse(url).map(Some));
        if redis.is_none() && !embedded && !server.single_node {
            settings.problem("redis_url", "is required with PostgreSQL, unless ENROLL__SERVER__SINGLE_NODE is true");
        }
        if redis.is_none() && store.pooled && store.direct_url.is_none() {
            settings.problem("database_direct_url", "is required for the lock of a single node behind a pooler");
        }
        if embedded && store.pooled {
            settings.problem("database.pooled", "goes with PostgreSQL only");
        }
        let (tokens, sessions) = tokens(settings);
        let limits_enabled = settings.flag("limits.enabled", true);
        let limits = limits(settings, limits_enabled);
        let mut codes = codes(settings, &limits);
        let phone = phone(settings);
        codes.test_identities = test_identities(settings, &codes, &phone);
        let notify = notify(settings, embedded, &server);
        // On a laptop: nothing is sent, and nobody else can reach it.
        let trusts_loopback = embedded && server.trusted_proxies.is_empty() && notify.is_console_alone();
        Self {
            abuse: abuse(settings, trusts_loopback),
            redis,
            redis_timeout: settings.seconds("redis.timeout", 1, 1..=10),
            events: events(settings),
            keyring: keyring(settings, embedded),
            tokens,
            sessions,
            registrations_ttl: registrations_ttl(settings, &codes),
            dormant_after: dormant_after(settings),
            registration_rules: registration_rules(settings),
            codes,
            limits_enabled,
            limits,
            hashing: hashing(settings),
            password_min_length: settings.u32("passwords.min_length", 8, 8..=64) as usize,
            phone,
            notify,
            audit_keep: Duration::from_secs(u64::from(settings.u32("audit.keep", 90, 1..=3_650)) * DAY),
            otlp_endpoint: otlp_endpoint(settings),
            log: log_format(settings),
            log_levels: settings.text("rust_log"),
            log_foreign: settings.flag("log.foreign", false),
            misspelled: Vec::new(),
            data_dir,
            store,
            server,
        }
    }
}

fn store(settings: &mut Reader, data_dir: &std::path::Path) -> StoreSettings {
    let is_postgres = |url: &str| ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let url = settings.parsed("database_url", embedded_url(data_dir), |url| {
        let known = is_postgres(url) || url.starts_with("sqlite:");
        known.then(|| url.to_owned()).ok_or("must begin with postgres:// or sqlite:")
    });
    StoreSettings {
        max_connections: settings.u32("database.max_connections", 8, 1..=1_000),
        timeout: settings.seconds("database.timeout", 1, 1..=10),
        direct_url: settings.parsed("database_direct_url", None, |direct| {
            let fits = is_postgres(direct) && is_postgres(&url);
            fits.then(|| Some(direct.to_owned()))
                .ok_or("must begin with postgres://, and goes with such a DATABASE_URL")
        }),
        pooled: settings.flag("database.pooled", false),
        url,
    }
}

/// A path may hold what means something else in a URL.
fn embedded_url(data_dir: &std::path::Path) -> String {
    let path = data_dir.join("enroll.db").display().to_string();
    let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}")
}

fn server(settings: &mut Reader) -> ServerSettings {
    let address = settings.parsed("server.address", SocketAddr::from(([127, 0, 0, 1], 8000)), listening_address);
    let private = Some(SocketAddr::from(([127, 0, 0, 1], 9000)));
    let admin_address = settings.parsed("admin.address", private, |text| match text {
        "off" => Ok(None),
        text => listening_address(text).map(Some),
    });
    let prefixes = settings.list("server.prefixes").unwrap_or_else(|| vec!["/api/v1".to_owned()]);
    let camel_prefixes = settings.list("server.camel_prefixes").unwrap_or_default();
    let gotrue_prefix = settings.text("server.gotrue_prefix");
    let public_url = settings.text("server.public_url").map(|url| url.trim_end_matches('/').to_owned());
    let server = ServerSettings {
        trusted_proxies: trusted_proxies(settings),
        public_url_is_set: public_url.is_some(),
        public_url: public_url.unwrap_or_else(|| format!("http://{address}")),
        address,
        prefixes,
        camel_prefixes,
        gotrue_prefix,
        single_node: settings.flag("server.single_node", false),
        client_ip_header: settings.parsed("server.client_address_header", ClientIpHeader::XForwardedFor, |text| {
            match text.to_ascii_lowercase().as_str() {
                "x-forwarded-for" => Ok(ClientIpHeader::XForwardedFor),
                "forwarded" => Ok(ClientIpHeader::Forwarded),
                _ => Err("must be x-forwarded-for or forwarded"),
            }
        }),
        cors_origins: settings.parsed("server.cors_origins", Vec::new(), origins),
        request_timeout: settings.seconds("server.request_timeout", 10, 1..=300),
        header_timeout: settings.seconds("server.header_timeout", 10, 1..=300),
        max_connections: settings.u32("server.max_connections", 10_000, 1..=1_000_000) as usize,
        drain: settings.seconds("server.drain", 1, 0..=300),
        admin_address,
        page_accent: page_accent(settings),
        log_networks: settings.parsed("log.addresses", false, |text| match text {
            "full" => Ok(false),
            "network" => Ok(true),
            _ => Err("must be full or network"),
        }),
    };
    check_prefixes(settings, &server);
    server
}

fn trusted_proxies(settings: &mut Reader) -> Vec<IpNet> {
    let listed = settings.list("server.trusted_proxies").unwrap_or_default();
    let networks = listed.iter().filter_map(|text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        network
            .map_err(|_| settings.problem("server.trusted_proxies", "must be a list of networks such as 10.0.0.0/8"))
            .ok()
    });
    networks.collect()
}

fn check_prefixes(settings: &mut Reader, server: &ServerSettings) {
    let ServerSettings { prefixes, camel_prefixes, .. } = server;
    for (setting, prefix) in prefixes
        .iter()
        .map(|prefix| ("server.prefixes", prefix))
        .chain(camel_prefixes.iter().map(|prefix| ("server.camel_prefixes", prefix)))
    {
        let is_path = prefix == "/" || is_plain_path(prefix);
        if !is_path || prefixes.iter().chain(camel_prefixes).filter(|other| *other == prefix).count() > 1 {
            settings.problem(setting, "must be a list of different paths such as /api/v1 (no slash at the end), or /");
            break;
        }
    }
    let Some(prefix) = &server.gotrue_prefix else { return };
    if !is_plain_path(prefix) {
        settings.problem("server.gotrue_prefix", "must be a path such as /auth/v1 (no slash at the end), and not /");
    } else if server.gotrue_prefix_collides() {
        settings.problem("server.gotrue_prefix", "another prefix, or a call, is there or below it");
    }
}

fn is_plain_path(prefix: &str) -> bool {
    let is_plain = prefix.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.~".contains(c)) && !prefix.contains("//");
    is_plain && prefix.starts_with('/') && !prefix.ends_with('/')
}

fn page_accent(settings: &mut Reader) -> Option<String> {
    let is_on = settings.flag("server.page", true);
    let accent = settings.parsed("server.accent", "#2f5fd0".to_owned(), |text| {
        let is_color = text.len() == 7 && text.starts_with('#') && text.bytes().skip(1).all(|b| b.is_ascii_hexdigit());
        is_color.then(|| text.to_owned()).ok_or("must be a color such as #2f5fd0, in quotes")
    });
    is_on.then_some(accent)
}

fn listening_address(text: &str) -> Result<SocketAddr, &'static str> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "must be an IP address and a port such as 127.0.0.1:8000")
}

fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let exact = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', ' ']))
    };
    origins
        .map(|origin| {
            exact(origin)
                .then(|| origin.to_owned())
                .ok_or("must be a list of exact origins such as https://app.example.com (no `*`, no slash at the end)")
        })
        .collect()
}

fn registration_rules(settings: &mut Reader) -> RegistrationRules {
    let mut domains = |setting: &'static str| {
        let listed = settings.list(setting).unwrap_or_default();
        let domains = listed.iter().map(|domain| {
            // As an email's domain is compared.
            let email = Email::parse(&format!("a@{domain}")).ok()?;
            email.key().split_once('@').map(|(_, domain)| domain.to_owned())
        });
        domains.collect::<Option<Vec<_>>>().unwrap_or_else(|| {
            settings.problem(setting, "must be a list of domains such as example.com");
            Vec::new()
        })
    };
    let (allowed, denied_domains) =
        (domains("registrations.email_domains"), domains("registrations.email_domains_denied"));
    let password_optional = settings.parsed("registrations.password", false, |text| match text {
        "required" => Ok(false),
        "optional" => Ok(true),
        _ => Err("must be required or optional"),
    });
    let closed = !settings.flag("registrations.open", true);
    RegistrationRules { password_optional, closed, domains: allowed, denied_domains }
}

fn dormant_after(settings: &mut Reader) -> Option<Duration> {
    let days = settings.number("registrations.dormant", 180, 0..=3_650);
    (days > 0).then(|| Duration::from_secs(days * DAY))
}

fn phone(settings: &mut Reader) -> PhoneRules {
    let region = |text: &str| Region::try_from(text).map_err(|_| "must be a country code of two letters such as IN");
    PhoneRules {
        default_region: settings.parsed("phone.default_region", Region::IN, region),
        allowed_regions: settings.parsed("phone.allowed_regions", Vec::new(), |text| {
            text.split(',').map(|one| region(one.trim())).collect::<Result<_, _>>()
        }),
    }
}

/// The standard name has the collector's base; ours too, unless it has a path (OTLP exporter configuration).
fn otlp_endpoint(settings: &mut Reader) -> Option<String> {
    let url = |text: &str| {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        is_url.then(|| text.trim_end_matches('/').to_owned()).ok_or("must be a URL such as http://127.0.0.1:4318")
    };
    let standard = settings.parsed("otel_exporter_otlp_endpoint", None, |text| url(text).map(Some));
    let ours = settings.parsed("telemetry.otlp_endpoint", None, |text| url(text).map(Some));
    let has_path = |url: &String| url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    let with_path = |url: String| format!("{url}/v1/traces");
    ours.map(|url| if has_path(&url) { url } else { with_path(url) }).or(standard.map(with_path))
}

fn log_format(settings: &mut Reader) -> LogFormat {
    let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let default = if on_terminal { LogFormat::Text } else { LogFormat::Json };
    settings.parsed("log.format", default, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json"),
    })
}
