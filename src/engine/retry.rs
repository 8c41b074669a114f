use crate::error::Error;

/// Runs a transaction, and once more when it lost to another one.
pub(crate) async fn run_twice<T, F: Future<Output = Result<T, Error>>>(run: impl Fn() -> F) -> Result<T, Error> {
    match run().await {
        Err(Error::Lost) => run().await,
        outcome => outcome,
    }
}
