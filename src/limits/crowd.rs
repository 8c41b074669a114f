//! Groups of counters' names, for when there are too many of them.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use crate::domain::crowds_of;

/// The groups around a name, the narrowest first: for a network the sites and providers around it, for another subject
/// its first digits. The policy is part of each.
pub(super) fn groups(name: &str) -> Vec<String> {
    let Some((policy, subject)) = name.split_once(':') else { return Vec::new() };
    match network_of(subject) {
        Some(network) => {
            let around = crowds_of(network.addr()).into_iter();
            let wider = around.filter(|crowd| crowd.prefix_len() <= network.prefix_len());
            wider.map(|crowd| format!("{policy}:{crowd}*")).collect()
        }
        None => (1..=3).rev().filter_map(|length| Some(format!("{policy}:{}*", subject.get(..length)?))).collect(),
    }
}

fn network_of(subject: &str) -> Option<IpNet> {
    let bare = subject.rsplit('}').next()?.trim_end_matches('*');
    bare.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The largest group: of the narrowest kind that has one of more than `crowded` names, otherwise of the widest.
pub(super) fn largest<'a>(names: impl Iterator<Item = &'a String>, crowded: usize) -> Option<String> {
    let mut sizes: [HashMap<String, usize>; 3] = Default::default();
    for name in names.filter(|name| !name.ends_with('*')) {
        let groups = groups(name);
        for (place, group) in groups.into_iter().rev().enumerate() {
            *sizes[place].entry(group).or_default() += 1;
        }
    }
    let [widest, wider, narrowest] = sizes;
    let of = |groups: HashMap<String, usize>| groups.into_iter().max_by_key(|(_, size)| *size);
    let (narrowest, wider, widest) = (of(narrowest), of(wider), of(widest));
    let is_crowded = |group: &Option<(String, usize)>| group.as_ref().is_some_and(|(_, size)| *size > crowded);
    [narrowest, wider].into_iter().find(is_crowded).flatten().or(widest).map(|(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_groups() {
        assert_eq!(groups("sends:192.0.2.7"), ["sends:192.0.2.0/24*", "sends:192.0.0.0/16*", "sends:192.0.0.0/8*"]);
        let site = "sends:{2001:db8:1::/48}2001:db8:1:2::/64";
        assert_eq!(groups(site), ["sends:2001:db8:1::/48*", "sends:2001:db8::/32*", "sends:2001::/20*"]);
        assert_eq!(groups("failures:abcdef"), ["failures:abc*", "failures:ab*", "failures:a*"]);
        assert_eq!(groups("a"), Vec::<String>::new());
    }

    #[test]
    fn the_narrowest_crowd_is_the_largest() {
        let names = |networks: &[&str]| networks.iter().map(|network| format!("sends:{network}")).collect::<Vec<_>>();
        let crowd = names(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"]);
        assert_eq!(largest(crowd.iter(), 2).as_deref(), Some("sends:192.0.2.0/24*"));
        let spread = names(&["10.0.1.1", "10.0.2.1", "10.0.3.1", "198.51.100.1"]);
        assert_eq!(largest(spread.iter(), 2).as_deref(), Some("sends:10.0.0.0/16*"));
        let wide = names(&["10.1.1.1", "10.2.2.1", "10.3.3.1", "198.51.100.1"]);
        assert_eq!(largest(wide.iter(), 2).as_deref(), Some("sends:10.0.0.0/8*"));
    }
}
