//! The party at the other end of a request.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use uuid::Uuid;

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

/// The networks around an IP address by which crowds are told apart: a site's, a provider's and a region's, mostly.
pub fn crowds_of(ip: IpAddr) -> [IpNet; 3] {
    let ip = ip.to_canonical();
    let lengths = if ip.is_ipv4() { [24, 16, 8] } else { [48, 32, 20] };
    lengths.map(|length| IpNet::new_assert(ip, length).trunc())
}

/// SHA-256 of the site of an IP address, for this account alone.
pub fn site_hash(ip: IpAddr, user: Uuid) -> Vec<u8> {
    sha256(&[user.as_bytes(), site_of(ip).to_string().as_bytes()].concat()).to_vec()
}

/// How long the site of an account's session is known.
pub const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);

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

    /// The names that its uses count under, each with how many times over a limit holds there: its own network, and
    /// of IPv6 the /56 and the /48 around it (a site may have any of them). They share the /48 as hash tag.
    pub fn counted_networks(&self) -> Vec<(String, u32)> {
        let ip = self.ip.to_canonical();
        let around = |length| IpNet::new_assert(ip, length).trunc();
        if ip.is_ipv4() {
            return vec![(ip.to_string(), 1)];
        }
        let tag = around(48);
        [(64, 1), (56, 4), (48, 16)].map(|(length, times)| (format!("{{{tag}}}{}", around(length)), times)).to_vec()
    }

    /// SHA-256 of its site, for this account alone.
    pub fn site_hash(&self, user: Uuid) -> Vec<u8> {
        site_hash(self.ip, user)
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
    fn a_client_counts_in_the_networks_around_it() {
        let client = |text: &str| Client { ip: text.parse().unwrap(), user_agent: None, shown: String::new() };
        assert_eq!(client("::ffff:192.0.2.7").counted_networks(), [("192.0.2.7".to_owned(), 1)]);
        let names = client("2001:db8:1:ff02:3::4").counted_networks();
        let expected = ["2001:db8:1:ff02::/64", "2001:db8:1:ff00::/56", "2001:db8:1::/48"];
        let expected = expected.map(|network| format!("{{2001:db8:1::/48}}{network}"));
        assert_eq!(names, expected.into_iter().zip([1, 4, 16]).collect::<Vec<_>>());
    }

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
