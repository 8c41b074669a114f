//! The places for connections: how many there are, for whom, and which give way.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::domain::site_of;

/// A bounded number of places. One network has a tenth of them at most; where all are taken, the connection that has
/// been idle for longest gives way.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
    share: usize,
    /// Networks that may have any number: those of trusted proxies.
    exempt: Arc<[IpNet]>,
}

#[derive(Default)]
struct Taken {
    by_network: HashMap<IpNet, usize>,
    /// By their numbers.
    places: HashMap<u64, Weak<Place>>,
    next: u64,
}

/// A place, and what its connection is doing.
pub(super) struct Place {
    /// Cancelled when the connection is to close as soon as it is idle.
    pub(super) close: CancellationToken,
    number: u64,
    running: AtomicUsize,
    idle_since: Mutex<Instant>,
    network: Option<IpNet>,
    places: Places,
    _permit: OwnedSemaphorePermit,
}

/// However few places there are, a network has so many.
const LEAST_SHARE: usize = 64;
/// Another connection may have become idle by then.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Places {
    pub(super) fn new(count: usize, exempt: &[IpNet]) -> Self {
        let share = (count / 10).max(LEAST_SHARE);
        Self { free: Arc::new(Semaphore::new(count)), taken: Arc::default(), share, exempt: exempt.into() }
    }

    /// Waits for a place; `None` if the network has its share.
    pub(super) async fn take(&self, ip: IpAddr, stop: &CancellationToken) -> Option<Arc<Place>> {
        let network = self.network(ip.to_canonical());
        if !self.count(network) {
            return None;
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            self.close_longest_idle();
            if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await {
                break permit.expect("nobody closes the semaphore");
            }
        };
        let mut taken = self.taken();
        taken.next += 1;
        let place = Arc::new(Place {
            close: stop.child_token(),
            number: taken.next,
            running: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            network,
            places: self.clone(),
            _permit: permit,
        });
        taken.places.insert(place.number, Arc::downgrade(&place));
        drop(taken);
        Some(place)
    }

    fn count(&self, network: Option<IpNet>) -> bool {
        let Some(network) = network else { return true };
        let mut taken = self.taken();
        let count = taken.by_network.entry(network).or_default();
        let fits = *count < self.share;
        *count += usize::from(fits);
        fits
    }

    fn close_longest_idle(&self) {
        // Taken out of the lock first: the last holder of a place locks as it drops.
        let open: Vec<Arc<Place>> = self.taken().places.values().filter_map(Weak::upgrade).collect();
        let closable = open.iter().filter(|place| !place.close.is_cancelled());
        let longest = closable.filter_map(|place| Some((place.idle_since()?, place))).min_by_key(|(since, _)| *since);
        if let Some((_, place)) = longest {
            place.close.cancel();
        }
    }

    /// The /24 or /48 of a client; `None` for those that are not counted.
    fn network(&self, ip: IpAddr) -> Option<IpNet> {
        if ip.is_loopback() || self.exempt.iter().any(|network| network.contains(&ip)) {
            return None;
        }
        Some(site_of(ip))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts a request until the value is dropped.
    pub(super) fn run(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.running.load(Ordering::Relaxed) == 0;
        is_idle.then(|| *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.places.remove(&self.number);
        if let Some(network) = self.network
            && let Some(count) = taken.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

/// A request that runs.
pub(super) struct Running(Arc<Place>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_network_has_its_share() {
        let places = Places::new(1_000, &["10.0.0.0/8".parse().unwrap()]);
        let stop = CancellationToken::new();
        let take = async |ip: &str| places.take(ip.parse().unwrap(), &stop).await;
        let mut held = Vec::new();
        for n in 0..100 {
            held.push(take(&format!("192.0.2.{n}")).await.expect("its share"));
        }
        assert!(take("192.0.2.200").await.is_none(), "a tenth is taken");
        assert!(take("::ffff:192.0.2.200").await.is_none(), "however it is written");
        assert!(take("198.51.100.1").await.is_some(), "another network");
        held.pop();
        assert!(take("192.0.2.200").await.is_some(), "one is free again");
        for ip in ["127.0.0.1", "10.1.2.3", "::1"] {
            for _ in 0..200 {
                held.push(take(ip).await.expect("not counted"));
            }
        }
        held.clear();
        let taken = places.taken();
        assert!(taken.by_network.len() <= 1 && taken.places.is_empty(), "nothing is kept of closed connections");
    }

    #[tokio::test]
    async fn the_longest_idle_connection_gives_way() {
        let places = Places::new(3, &[]);
        let stop = CancellationToken::new();
        let take = || places.take(IpAddr::from([127, 0, 0, 1]), &stop);
        let [busy, old, new] = [take().await.unwrap(), take().await.unwrap(), take().await.unwrap()];
        let running = busy.run();
        drop(new.run());
        let other = tokio::spawn({
            let (places, stop) = (places.clone(), stop.clone());
            async move { places.take(IpAddr::from([127, 0, 0, 1]), &stop).await.is_some() }
        });
        old.close.cancelled().await;
        assert!(!busy.close.is_cancelled() && !new.close.is_cancelled());
        drop(old);
        assert!(other.await.unwrap());
        drop(running);
    }
}
