//! The queue of passwords to be hashed: bounded, and fair between networks.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use tokio::sync::oneshot;

/// The right to hash, as many at once as there are cores. Networks are served in turn, so that whoever sends a hundred
/// passwords waits for his own.
#[derive(Clone)]
pub(super) struct HashQueue(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    free: usize,
    /// Those that wait or hash, by network.
    places: HashMap<IpNet, usize>,
    queued: usize,
    waiting: HashMap<IpNet, VecDeque<oneshot::Sender<Turn>>>,
    /// The networks that wait, in the order that they are served.
    order: VecDeque<IpNet>,
    /// How many passwords of each network are being hashed.
    hashing: HashMap<IpNet, usize>,
}

/// The right to hash one password; the next in line has it when it is dropped.
pub(super) struct Turn {
    queue: HashQueue,
    network: IpNet,
}

/// A place in the queue, which is left when it is dropped.
pub(super) struct Place {
    queue: HashQueue,
    network: IpNet,
}

/// Passwords that wait or are being hashed.
const PLACES: usize = 128;
/// Of one network.
const PLACES_OF_NETWORK: usize = 32;
/// A hash that has not begun by then is not worth beginning: its client has a time-out too.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl HashQueue {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Lines { free: at_once, ..Lines::default() })))
    }

    pub(super) fn queued(&self) -> usize {
        self.lines().queued
    }

    /// A place; `None` if all are taken, or all that one network may have.
    pub(super) fn enter(&self, network: IpNet) -> Option<Place> {
        let mut lines = self.lines();
        let of_network = lines.places.get(&network).copied().unwrap_or_default();
        if lines.queued >= PLACES || of_network >= PLACES_OF_NETWORK {
            return None;
        }
        lines.queued += 1;
        *lines.places.entry(network).or_default() += 1;
        Some(Place { queue: self.clone(), network })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for its turn; `None` if that did not come in time.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let waiting = {
            let mut lines = self.queue.lines();
            if lines.free > 0 {
                lines.free -= 1;
                lines.begin(self.network);
                return Some(Turn { queue: self.queue.clone(), network: self.network });
            }
            let (sender, waiting) = oneshot::channel();
            let line = lines.waiting.entry(self.network).or_default();
            line.push_back(sender);
            if line.len() == 1 {
                lines.order.push_back(self.network);
            }
            waiting
        };
        tokio::time::timeout(LONGEST_WAIT, waiting).await.ok()?.ok()
    }
}

impl Lines {
    /// The first of the network whose turn it is, which has the fewest hashes going on; it goes to the end. So whoever
    /// comes beside a crowd that has every core waits for one hash to end, and for no other.
    fn next(&mut self) -> Option<(oneshot::Sender<Turn>, IpNet)> {
        let going_on = |network| self.hashing.get(network).copied().unwrap_or_default();
        let (position, _) = self.order.iter().enumerate().min_by_key(|(_, network)| going_on(network))?;
        let network = self.order.remove(position)?;
        let line = self.waiting.get_mut(&network)?;
        let first = line.pop_front()?;
        if line.is_empty() {
            self.waiting.remove(&network);
        } else {
            self.order.push_back(network);
        }
        self.begin(network);
        Some((first, network))
    }

    fn begin(&mut self, network: IpNet) {
        *self.hashing.entry(network).or_default() += 1;
    }
}

/// One less, and no entry for none.
fn decrease(counts: &mut HashMap<IpNet, usize>, network: IpNet) {
    if let Some(count) = counts.get_mut(&network) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&network);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.queue.lines();
        decrease(&mut lines.hashing, self.network);
        let next = lines.next();
        if next.is_none() {
            lines.free += 1;
        }
        drop(lines);
        if let Some((next, network)) = next {
            // Who has gone leaves the turn in here; dropped, it goes to the one behind.
            let _ = next.send(Turn { queue: self.queue.clone(), network });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.queue.lines();
        lines.queued -= 1;
        decrease(&mut lines.places, self.network);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    fn network(n: u8) -> IpNet {
        IpNet::new_assert([10, 0, n, 0].into(), 24)
    }

    #[tokio::test]
    async fn networks_are_served_in_turn() {
        let queue = HashQueue::new(1);
        let held = queue.enter(network(0)).unwrap();
        let held = held.turn().await.unwrap();
        let crowd: Vec<Place> = (0..32).map(|_| queue.enter(network(1)).unwrap()).collect();
        assert!(queue.enter(network(1)).is_none(), "one network has no more places");
        let served = Arc::new(Mutex::new(Vec::new()));
        let other = queue.enter(network(2)).unwrap();
        let places = crowd.iter().chain([&other]);
        let serve = places.map(|place| {
            let served = Arc::clone(&served);
            async move {
                let turn = place.turn().await.unwrap();
                served.lock().unwrap().push(place.network);
                drop(turn);
            }
        });
        tokio::join!(join_all(serve), async { drop(held) });
        assert_eq!(served.lock().unwrap().iter().position(|served| *served == network(2)), Some(1));
    }

    #[tokio::test]
    async fn a_full_queue_has_no_place_and_who_leaves_gives_it_back() {
        let queue = HashQueue::new(1);
        let places: Vec<Place> = (0..128).map(|n| queue.enter(network(n / 32)).unwrap()).collect();
        assert!(queue.enter(network(9)).is_none());
        assert_eq!(queue.queued(), 128);
        let turn = places[0].turn().await.unwrap();
        {
            let (gone, waits) = (places[1].turn(), places[2].turn());
            tokio::pin!(waits);
            assert!(gone.now_or_never().is_none() && waits.as_mut().now_or_never().is_none());
            drop(turn);
            drop(waits.await.unwrap());
        }
        drop(places);
        assert_eq!((queue.queued(), queue.lines().free), (0, 1));
        assert!(
            queue.lines().places.is_empty() && queue.lines().waiting.is_empty() && queue.lines().hashing.is_empty()
        );
    }

    #[tokio::test]
    async fn who_comes_beside_a_crowd_on_every_core_is_next() {
        let queue = HashQueue::new(2);
        let crowd: Vec<Place> = (0..6).map(|_| queue.enter(network(1)).unwrap()).collect();
        let (first, second) = (crowd[0].turn().await.unwrap(), crowd[1].turn().await.unwrap());
        let mut waits: Vec<_> = crowd[2..].iter().map(|place| Box::pin(place.turn())).collect();
        assert!(waits.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
        let other = queue.enter(network(2)).unwrap();
        let turn = other.turn();
        tokio::pin!(turn);
        assert!(turn.as_mut().now_or_never().is_none());
        drop(first);
        let turn = turn.await.unwrap();
        drop(second);
        assert!(waits[0].as_mut().now_or_never().is_some_and(|turn| turn.is_some()));
        drop(turn);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_passes_the_turn_on() {
        let queue = HashQueue::new(1);
        let places: Vec<Place> = (0..3).map(|_| queue.enter(network(1)).unwrap()).collect();
        let turn = places[0].turn().await.unwrap();
        assert!(places[1].turn().await.is_none(), "two seconds have passed");
        let waits = places[2].turn();
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(waits.await.is_some());
    }
}
