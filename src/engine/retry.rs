//! Running a transaction again after a conflict.

use crate::error::Error;

/// Runs a transaction without locks, and, if what it read has changed, once more under them.
pub(crate) async fn locked_on_conflict<T, F: Future<Output = Result<T, Error>>>(
    run: impl Fn(bool) -> F,
) -> Result<T, Error> {
    match run(false).await {
        Err(Error::Conflict) => once_on_conflict(|| run(true)).await,
        outcome => outcome,
    }
}

/// Runs a transaction, and once more if it conflicted with another one.
pub(crate) async fn once_on_conflict<T, F: Future<Output = Result<T, Error>>>(run: impl Fn() -> F) -> Result<T, Error> {
    match run().await {
        Err(Error::Conflict) => run().await,
        outcome => outcome,
    }
}
