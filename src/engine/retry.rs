//! Running a transaction again after a conflict.

use crate::error::Error;

/// Runs a transaction, and once more if it conflicted with another one.
pub(crate) async fn once_on_conflict<T, F: Future<Output = Result<T, Error>>>(run: impl Fn() -> F) -> Result<T, Error> {
    match run().await {
        Err(Error::Conflict) => run().await,
        outcome => outcome,
    }
}
