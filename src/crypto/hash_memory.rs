//! The memory of password hashes, kept from one to the next: the system clears the pages that it gives anew.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::Block;
use tokio::time::Instant;

use super::argon2_blocks;

/// Buffers that hashes borrow. There are never more than hashes ran at once, and idle ones go back to the system.
#[derive(Clone)]
pub(super) struct HashMemory(Arc<Kept>);

struct Kept {
    /// A larger one, of a dearer hash that was imported, is not kept.
    blocks: usize,
    buffers: Mutex<Buffers>,
}

#[derive(Default)]
struct Buffers {
    /// The one used last comes last, and is lent first.
    idle: Vec<(Vec<Block>, Instant)>,
    is_tidied: bool,
}

const KEPT_FOR: Duration = Duration::from_secs(8);
/// mimalloc gives pages back when it is asked for more, a second after they were freed.
const PURGED_AFTER: Duration = Duration::from_millis(1_500);
const MORE: usize = 1 << 20;

impl HashMemory {
    /// Keeps buffers of up to so many KiB.
    pub(super) fn new(memory_kib: u32) -> Self {
        let blocks = usize::try_from(memory_kib).unwrap_or(usize::MAX);
        Self(Arc::new(Kept { blocks, buffers: Mutex::default() }))
    }

    /// Lends a buffer of so many blocks to the work, on a thread of the runtime.
    pub(super) fn lend<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let kept = self.buffers().idle.pop();
        let kept = kept.map(|(buffer, _)| buffer).filter(|buffer| buffer.capacity() >= blocks);
        let mut buffer = kept.unwrap_or_else(|| argon2_blocks(blocks));
        buffer.resize(blocks, Block::new());
        let done = work(&mut buffer);
        if blocks <= self.0.blocks {
            self.buffers().idle.push((buffer, Instant::now()));
            self.tidy_later();
        }
        done
    }

    /// Gives back what stays idle, until nothing is kept.
    fn tidy_later(&self) {
        if std::mem::replace(&mut self.buffers().is_tidied, true) {
            return;
        }
        let memory = self.clone();
        tokio::spawn(async move {
            loop {
                let oldest = memory.buffers().idle.first().map(|(_, since)| *since);
                tokio::time::sleep_until(oldest.unwrap_or_else(Instant::now) + KEPT_FOR).await;
                if memory.give_back() {
                    break;
                }
            }
            tokio::time::sleep(PURGED_AFTER).await;
            drop(std::hint::black_box(vec![1_u8; MORE]));
        });
    }

    /// Gives back what was idle for long; returns whether that was all.
    fn give_back(&self) -> bool {
        let mut buffers = self.buffers();
        buffers.idle.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        buffers.is_tidied = !buffers.idle.is_empty();
        !buffers.is_tidied
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_buffer_is_lent_again_until_it_was_idle_for_long() {
        let memory = HashMemory::new(8);
        let kept = || memory.buffers().idle.len();
        memory.lend(8, |first| {
            assert_eq!(first.len(), 8);
            memory.lend(8, |second| assert_eq!(second.len(), 8));
        });
        assert_eq!(kept(), 2);
        memory.lend(4, |smaller| assert_eq!(smaller.len(), 4));
        memory.lend(9, |dearer| assert_eq!(dearer.len(), 9));
        assert_eq!(kept(), 1, "the dearer one took a kept one along");
        tokio::time::sleep(KEPT_FOR / 2).await;
        memory.lend(8, |_| ());
        tokio::time::sleep(KEPT_FOR * 3 / 4).await;
        assert_eq!(kept(), 1, "it was used since");
        tokio::time::sleep(KEPT_FOR).await;
        assert_eq!(kept(), 0);
        memory.lend(8, |_| ());
        tokio::time::sleep(KEPT_FOR * 3).await;
        assert_eq!(kept(), 0, "it is tidied each time");
    }
}
