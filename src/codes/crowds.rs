//! The networks that ask for codes in memory.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use crate::domain::crowds_of;

/// How many destinations have codes that were asked for from each network, by its kind: a site's, a provider's and a
/// region's.
#[derive(Default)]
pub(super) struct Crowds(HashMap<IpNet, usize>);

/// The part of the memory from which on a network of each kind is a crowd.
const SHARES: [usize; 3] = [64, 16, 4];

impl Crowds {
    pub(super) fn add(&mut self, ip: Option<IpAddr>) {
        for network in ip.into_iter().flat_map(crowds_of) {
            *self.0.entry(network).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, ip: Option<IpAddr>) {
        for network in ip.into_iter().flat_map(crowds_of) {
            if let Some(count) = self.0.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&network);
                }
            }
        }
    }

    /// Whether one of the networks around has more than its share of a memory of `bound` destinations.
    pub(super) fn is_crowded(&self, ip: IpAddr, bound: usize) -> bool {
        let mut around = crowds_of(ip).into_iter().zip(SHARES);
        around.any(|(network, share)| self.0.get(&network).is_some_and(|count| *count > bound / share))
    }
}
