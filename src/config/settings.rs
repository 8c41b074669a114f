use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{
    Problem, Sources, later,
    notify::{NotifySettings, notify},
    reader::Reader,
    secrets::{keyring, tokens},
};
use crate::{
    crypto::{HashingCost, Keyring, TokenSettings},
    domain::{CodePolicy, PhoneRules, Region, Windows},
    engine::{CodeSettings, LimitSettings, SessionSettings},
    events::RabbitAddress,
    http::{AddressHeader, ServerSettings},
    redis::RedisAddress,
    store::StoreSettings,
};

/// Everything that can be set; `.env.example` tells each with its default.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub store: StoreSettings,
    /// `None`: codes and counters in memory.
    pub redis: Option<RedisAddress>,
    pub redis_timeout: Duration,
    /// `None`: events go to the log.
    pub rabbitmq: Option<RabbitAddress>,
    /// Events that nobody listens to are put aside, not dropped.
    pub keep_unroutable: bool,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

pub(super) const DAY: u64 = 86_400;

impl Settings {
    /// # Errors
    ///
    /// All that is wrong, not just the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(sources.read().map_err(|problem| vec![problem])?);
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

    /// The database's URL without its password.
    pub fn shown_database(&self) -> String {
        let url = &self.store.url;
        match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
            Some((scheme, host)) => format!("{scheme}://***@{host}"),
            None => url.clone(),
        }
    }

    fn read(from: &mut Reader) -> Self {
        let data_dir = PathBuf::from(from.text("data_dir").unwrap_or_else(|| "./data".to_owned()));
        let store = store(from, &data_dir);
        let embedded = store.url.starts_with("sqlite:");
        let server = server(from);
        let redis = from.parsed("redis_url", None, |url| RedisAddress::parse(url).map(Some));
        if redis.is_none() && !embedded && !server.single_node {
            from.problem("redis_url", "is needed beside PostgreSQL, unless ENROLL__SERVER__SINGLE_NODE is true");
        }
        let (tokens, sessions) = tokens(from);
        let limits_enabled = from.flag("limits.enabled", true);
        let limits = limits(from, limits_enabled);
        let codes = codes(from, &limits);
        later::stop_at(from);
        Self {
            redis,
            redis_timeout: from.seconds("redis.timeout", 1, 1..=10),
            rabbitmq: rabbitmq(from),
            keep_unroutable: from.parsed("events.unroutable", false, |text| match text {
                "drop" => Ok(false),
                "keep" => Ok(true),
                _ => Err("is neither drop nor keep"),
            }),
            keyring: keyring(from, embedded),
            tokens,
            sessions,
            registrations_ttl: registrations_ttl(from, &codes),
            codes,
            limits_enabled,
            limits,
            hashing: hashing(from),
            password_min_length: from.small("passwords.min_length", 8, 8..=64) as usize,
            phone: phone(from),
            notify: notify(from, embedded, &server),
            log: log_format(from),
            log_levels: from.text("rust_log"),
            log_foreign: from.flag("log.foreign", false),
            data_dir,
            store,
            server,
        }
    }
}

fn rabbitmq(from: &mut Reader) -> Option<RabbitAddress> {
    let exchange = from.text("events.exchange").unwrap_or_else(|| "enroll.events".to_owned());
    from.parsed("amqp_url", None, |url| RabbitAddress::parse(url, exchange).map(Some))
}

fn store(from: &mut Reader, data_dir: &std::path::Path) -> StoreSettings {
    let embedded = format!("sqlite://{}", data_dir.join("enroll.db").display());
    let url = from.parsed("database_url", embedded, |url| {
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
    let camel_prefixes = from.list("server.camel_prefixes").unwrap_or_default();
    for (setting, prefix) in prefixes
        .iter()
        .map(|prefix| ("server.prefixes", prefix))
        .chain(camel_prefixes.iter().map(|prefix| ("server.camel_prefixes", prefix)))
    {
        let plain = prefix.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.~".contains(c)) && !prefix.contains("//");
        let fits = prefix == "/" || (plain && prefix.starts_with('/') && !prefix.ends_with('/'));
        if !fits || prefixes.iter().chain(&camel_prefixes).filter(|other| *other == prefix).count() > 1 {
            from.problem(setting, "are paths that begin with a slash and end without, each in one list once; or /");
            break;
        }
    }
    let public_url = from.text("server.public_url").map(|url| url.trim_end_matches('/').to_owned());
    let trusted_proxies = from.list("server.trusted_proxies").unwrap_or_default();
    let trusted_proxies = trusted_proxies.iter().filter_map(|text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        network.map_err(|_| from.problem("server.trusted_proxies", "are networks, as 10.0.0.0/8")).ok()
    });
    ServerSettings {
        trusted_proxies: trusted_proxies.collect(),
        public_url_given: public_url.is_some(),
        public_url: public_url.unwrap_or_else(|| format!("http://{address}")),
        address,
        prefixes,
        camel_prefixes,
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

macro_rules! policy {
    ($from:ident, $purpose:literal, $digits:literal, $ttl:literal, $tries:literal) => {
        CodePolicy {
            digits: $from.small(concat!("codes.", $purpose, ".digits"), $digits, 4..=10),
            ttl: $from.seconds(concat!("codes.", $purpose, ".ttl"), $ttl, 10..=DAY),
            tries: $from.small(concat!("codes.", $purpose, ".tries"), $tries, 1..=100),
        }
    };
}

fn codes(from: &mut Reader, limits: &LimitSettings) -> CodeSettings {
    CodeSettings {
        registration_sms: policy!(from, "registration_sms", 6, 300, 5),
        registration_email: policy!(from, "registration_email", 4, 60, 3),
        login: policy!(from, "login", 6, 120, 3),
        password_reset: policy!(from, "password_reset", 6, 600, 5),
        contact_change: policy!(from, "contact_change", 6, 600, 5),
        resend_after: from.seconds("codes.resend_after", 30, 0..=3_600),
        sends_per_destination: limits.sends_per_destination.clone(),
    }
}

/// At most a day, for so long is a verification told of; and no code outlives its registration.
fn registrations_ttl(from: &mut Reader, codes: &CodeSettings) -> Duration {
    let ttl = from.seconds("registrations.ttl", 3_600, 60..=DAY);
    if ttl < codes.registration_sms.ttl.max(codes.registration_email.ttl) {
        from.problem("registrations.ttl", "is less than a registration's code lives");
    }
    ttl
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

fn log_format(from: &mut Reader) -> LogFormat {
    let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let default = if on_terminal { LogFormat::Text } else { LogFormat::Json };
    from.parsed("log.format", default, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither text nor json"),
    })
}
