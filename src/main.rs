//! See `enroll --help`.

use std::process::ExitCode;

/// Argon2's megabytes come and go: glibc's arenas would keep them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    enroll::cli::run()
}
