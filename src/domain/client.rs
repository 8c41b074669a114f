//! The party at the other end of a request.

use std::net::IpAddr;

use ipnet::IpNet;

use super::sha256;

/// The party at the other end of a request.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its IP address, as trusted proxies report it.
    pub ip: IpAddr,
    /// Its `User-Agent` header.
    pub user_agent: Option<String>,
    /// Its IP address, or the network of it, as the log and events show it.
    pub shown: String,
}

/// The /24 or /48 of an IP address: a site's, mostly.
pub fn site_of(ip: IpAddr) -> IpNet {
    let ip = ip.to_canonical();
    let length = if ip.is_ipv4() { 24 } else { 48 };
    IpNet::new_assert(ip, length).trunc()
}

impl Client {
    /// The network that limits count by: the IPv4 address, or the /64 of an IPv6 address (a subscriber has a
    /// whole one).
    pub fn network(&self) -> String {
        match self.ip.to_canonical() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }

    /// SHA-256 of the [`network`](Self::network): it is only ever compared, so it is stored hashed.
    pub fn network_hash(&self) -> Vec<u8> {
        sha256(self.network().as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_a_subscriber_has() {
        let network =
            |text: &str| Client { ip: text.parse().unwrap(), user_agent: None, shown: String::new() }.network();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
    }
}
