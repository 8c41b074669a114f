//! The program; see `enroll --help`.

use std::process::ExitCode;

/// Argon2 allocates and frees megabytes, which glibc's arenas would keep.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    enroll::crypto::refuse_unasked_huge_pages();
    enroll::cli::run()
}
