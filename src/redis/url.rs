//! The forms of `REDIS_URL`.

use ::redis::{Client, RedisError};
use percent_encoding::percent_decode_str;

/// The location of Redis: one server, a cluster, or the server that sentinels name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisUrl {
    /// `redis://…`, `rediss://…`
    Single(String),
    /// `redis+cluster://[user:password@]host[:port],host[:port]`: some nodes, each as a URL.
    Cluster(Vec<String>),
    /// `redis+sentinel://[user:password@]host[:port],host[:port]/master/database`
    Sentinel {
        /// Hosts and ports of the sentinels.
        nodes: Vec<(String, u16)>,
        /// The name that the sentinels have for the primary.
        master: String,
        /// The database's number.
        database: i64,
        /// The user, which may be empty, and the password of the primary.
        credentials: Option<(String, String)>,
    },
}

const SENTINEL_PORT: u16 = 26_379;

impl RedisUrl {
    /// Parses any of the forms.
    ///
    /// # Errors
    ///
    /// A message with the forms, and nothing of this URL: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const FORMS: &str = "must be redis://host, rediss://host, redis+cluster://host1,host2 or \
            redis+sentinel://host1,host2/master/0";
        let checked = |url: String| Client::open(url.as_str()).map(|_| url).map_err(|_: RedisError| FORMS);
        if let Some(rest) = url.strip_prefix("redis+cluster://") {
            let (credentials, hosts) = rest.rsplit_once('@').map_or((None, rest), |(who, hosts)| (Some(who), hosts));
            let who = credentials.map(|who| format!("{who}@")).unwrap_or_default();
            let nodes = hosts.trim_end_matches('/').split(',').map(|host| checked(format!("redis://{who}{host}")));
            return nodes.collect::<Result<_, _>>().map(Self::Cluster);
        }
        let Some(rest) = url.strip_prefix("redis+sentinel://") else {
            let known = url.starts_with("redis://") || url.starts_with("rediss://");
            return if known { checked(url.to_owned()).map(Self::Single) } else { Err(FORMS) };
        };
        let (credentials, rest) = rest.rsplit_once('@').map_or((None, rest), |(who, rest)| (Some(who), rest));
        let mut parts = rest.split('/');
        let (hosts, master) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let database = parts.next().filter(|text| !text.is_empty()).map_or(Ok(0), str::parse).map_err(|_| FORMS)?;
        let nodes: Vec<_> = hosts.split(',').filter_map(host_and_port).collect();
        if nodes.is_empty() || nodes.len() != hosts.split(',').count() || master.is_empty() || parts.next().is_some() {
            return Err(FORMS);
        }
        let credentials = credentials.map(|who| who.split_once(':').unwrap_or((who, "")));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = credentials.map(|(user, password)| (decoded(user), decoded(password)));
        Ok(Self::Sentinel { nodes, master: master.to_owned(), database, credentials })
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, SENTINEL_PORT),
    };
    let host = host.trim_matches(['[', ']']); // of an IPv6 address
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let cluster = RedisUrl::parse("redis+cluster://u:p@a:1,b:2").unwrap();
        assert_eq!(cluster, RedisUrl::Cluster(vec!["redis://u:p@a:1".into(), "redis://u:p@b:2".into()]));
        let sentinel = RedisUrl::parse("redis+sentinel://a,b:2/mymaster/3").unwrap();
        let nodes = vec![("a".to_owned(), SENTINEL_PORT), ("b".to_owned(), 2)];
        let expected = RedisUrl::Sentinel { nodes, master: "mymaster".into(), database: 3, credentials: None };
        assert_eq!(sentinel, expected);
        let RedisUrl::Sentinel { nodes, credentials, .. } =
            RedisUrl::parse("redis+sentinel://us%40er:p%40s%2Fs@[::1]:5,[fe80::1]/m").unwrap()
        else {
            panic!("it is a sentinel's");
        };
        assert_eq!(nodes, [("::1".to_owned(), 5), ("fe80::1".to_owned(), SENTINEL_PORT)]);
        assert_eq!(credentials, Some(("us@er".to_owned(), "p@s/s".to_owned())));
        for wrong in [
            "",
            "http://a",
            "redis+sentinel://a",
            "redis+sentinel:///m/0",
            "redis+sentinel://a/m/x",
            "redis+cluster://",
        ] {
            let message = RedisUrl::parse(wrong).unwrap_err();
            assert!(message.contains("redis://host"), "{wrong}");
        }
    }
}
