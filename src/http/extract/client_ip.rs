//! The client and its IP address.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use tracing::Span;

use crate::{
    domain::{Client, Clock as _, SystemClock, site_of},
    http::problem::Problem,
    http::{ClientIpHeader, ServerSettings},
};

/// The IP address and port at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Peer(pub(crate) SocketAddr);

/// The networks whose header is believed, and which header.
#[derive(Clone)]
pub(in crate::http) struct TrustedProxies {
    networks: Arc<[IpNet]>,
    header: ClientIpHeader,
    warned_at_s: Arc<AtomicI64>,
    /// The log shows a client's network alone.
    shows_networks: bool,
}

const HOUR_S: i64 = 3_600;

impl TrustedProxies {
    pub(in crate::http) fn new(settings: &ServerSettings) -> Self {
        Self {
            networks: settings.trusted_proxies.clone().into(),
            header: settings.client_ip_header,
            warned_at_s: Arc::default(),
            shows_networks: settings.log_networks,
        }
    }

    /// From right to left, the first address that is no trusted proxy. An unreadable one ends the walk, and the
    /// proxy that passed it on stands for the client.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ClientIpHeader::XForwardedFor => "x-forwarded-for",
            ClientIpHeader::Forwarded => "forwarded",
        };
        let mut client = peer.to_canonical();
        if !headers.contains_key(name) {
            return client;
        }
        if !self.trusts(client) {
            self.warn(name);
            return client;
        }
        let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        for element in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            if element.trim_ascii().is_empty() {
                continue; // RFC 9110, 5.6.1.2
            }
            let element = str::from_utf8(element).unwrap_or_default();
            let read = match self.header {
                ClientIpHeader::XForwardedFor => parse_ip(element.trim()),
                ClientIpHeader::Forwarded => forwarded_for(element).and_then(parse_ip),
            };
            let Some(ip) = read else { return client };
            client = ip;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    fn warn(&self, header: &str) {
        let now = SystemClock.now().seconds();
        let last = self.warned_at_s.load(Ordering::Relaxed);
        if now - last >= HOUR_S
            && self.warned_at_s.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(
                header,
                "this header comes from an untrusted address and is ignored (ENROLL__SERVER__TRUSTED_PROXIES)"
            );
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`
fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches('"');
    let unbracketed = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inner, _)| inner);
    let ip = unbracketed.unwrap_or(bare).parse::<IpAddr>().ok();
    ip.or_else(|| bare.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|ip| ip.to_canonical())
}

/// The `for` of one element (RFC 7239, 4).
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(name, value)| name.eq_ignore_ascii_case("for").then_some(value.trim()))
}

/// Finds the client of a request, before anything else.
pub(in crate::http) async fn identify(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0.ip());
    let headers = request.headers();
    let ip = proxies.client(peer, headers);
    let shown = if proxies.shows_networks { site_of(ip).to_string() } else { ip.to_string() };
    Span::current().record("client", shown.as_str());
    let client = Client { ip, shown, user_agent: user_agent(headers) };
    request.extensions_mut().insert(client);
    next.run(request).await
}

/// As long as anybody has use for it: it is kept with sessions and in the audit.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(LONGEST_USER_AGENT).collect())
}

const LONGEST_USER_AGENT: usize = 400;

/// The client of the request.
pub(in crate::http) struct RequestClient(pub(crate) Client);

impl<S: Sync> FromRequestParts<S> for RequestClient {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let client = parts.extensions.get::<Client>().cloned();
        client.map(Self).ok_or_else(|| crate::error::Error::Internal(anyhow::anyhow!("the client is unknown")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, header: ClientIpHeader, lines: &[&'static str]) -> String {
        let proxies = TrustedProxies {
            networks: ["10.0.0.0/8", "2001:db8:ff::/48"].map(|network| network.parse().unwrap()).into(),
            header,
            warned_at_s: Arc::default(),
            shows_networks: false,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
            headers.append("forwarded", HeaderValue::from_static(line));
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        use ClientIpHeader::XForwardedFor as Xff;
        assert_eq!(client("192.0.2.9", Xff, &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", Xff, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", Xff, &["6.6.6.6, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", Xff, &["6.6.6.6", "198.51.100.1:443, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", Xff, &["6.6.6.6, rubbish, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("::ffff:10.0.0.1", Xff, &["[2001:db8::5]:80"]), "2001:db8::5");
        assert_eq!(client("10.0.0.1", Xff, &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        use ClientIpHeader::Forwarded;
        let line = r#"for=6.6.6.6, For="[2001:db8:cafe::17]:4711";proto=https, for=10.1.1.1"#;
        assert_eq!(client("10.0.0.1", Forwarded, &[line]), "2001:db8:cafe::17");
        assert_eq!(client("10.0.0.1", Forwarded, &["for=_hidden"]), "10.0.0.1");
    }
}
