use std::sync::Arc;

use crate::{
    domain::{Clock, DeliveryState},
    error::Error,
    store::Store,
};

/// Takes down what providers report of messages.
#[derive(Clone)]
pub struct ReportService {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

impl ReportService {
    /// `message` is the outbox's number; one that is over, or whose code was used or replaced, says nothing.
    pub async fn reported(&self, message: i64, state: DeliveryState) -> Result<(), Error> {
        Ok(self.store.mark_reported(message, state, self.clock.now()).await?)
    }
}
