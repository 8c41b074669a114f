//! Huge pages for the memory of hashes, which Argon2 jumps through: the processor looks fewer addresses up.

use argon2::Block;

/// Where every mapping of the system gets huge pages unasked, the process takes none: they would double its memory at rest.
pub fn refuse_unasked_huge_pages() {
    #[cfg(target_os = "linux")]
    if std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").is_ok_and(|it| it.contains("[always]")) {
        let _ = rustix::thread::disable_transparent_huge_pages(true); // with them it needs more memory, and works
    }
}

/// Memory for a hash, in huge pages where memory may ask for them.
pub fn argon2_blocks(count: usize) -> Vec<Block> {
    const LEAST: usize = 4 << 20; // two whole pages, wherever it begins
    let mut blocks = Vec::with_capacity(count);
    let room = blocks.spare_capacity_mut();
    if size_of_val(room) >= LEAST {
        kevy_madvise::advise_hugepage(room.as_ptr().cast(), size_of_val(room));
    }
    blocks.resize(count, Block::new());
    blocks
}
