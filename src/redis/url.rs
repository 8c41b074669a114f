use redis::{Client, RedisError};

/// Where Redis is: one server, a cluster, or whatever server the sentinels name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// `redis://…`, `rediss://…`
    Single(String),
    /// `redis+cluster://[user:password@]host[:port],host[:port]`: some of its nodes, each as a URL.
    Cluster(Vec<String>),
    /// `redis+sentinel://[user:password@]host[:port],host[:port]/master/database`
    Sentinel { nodes: Vec<(String, u16)>, master: String, database: i64, credentials: Option<(String, String)> },
}

const SENTINEL_PORT: u16 = 26_379;

impl RedisAddress {
    /// # Errors
    ///
    /// A message that says what a URL looks like, and nothing of this one: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const FORMS: &str = "is none of redis://host, rediss://host, redis+cluster://host1,host2 \
            and redis+sentinel://host1,host2/master/0";
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
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Ok(Self::Sentinel { nodes, master: master.to_owned(), database, credentials })
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, SENTINEL_PORT),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let cluster = RedisAddress::parse("redis+cluster://u:p@a:1,b:2").unwrap();
        assert_eq!(cluster, RedisAddress::Cluster(vec!["redis://u:p@a:1".into(), "redis://u:p@b:2".into()]));
        let sentinel = RedisAddress::parse("redis+sentinel://a,b:2/mymaster/3").unwrap();
        let nodes = vec![("a".to_owned(), SENTINEL_PORT), ("b".to_owned(), 2)];
        let expected = RedisAddress::Sentinel { nodes, master: "mymaster".into(), database: 3, credentials: None };
        assert_eq!(sentinel, expected);
        for wrong in [
            "",
            "http://a",
            "redis+sentinel://a",
            "redis+sentinel:///m/0",
            "redis+sentinel://a/m/x",
            "redis+cluster://",
        ] {
            let message = RedisAddress::parse(wrong).unwrap_err();
            assert!(message.contains("redis://host"), "{wrong}");
        }
    }
}
