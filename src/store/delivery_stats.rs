//! Conversion: how many of the codes that were sent came back.

use super::{Reader, StoreError, connection::fetch, dialect::statements};
use crate::domain::Timestamp;

/// The codes that one provider carried to one country, and how many came back.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Conversion {
    /// The provider's name.
    pub provider: String,
    /// Two letters; empty for emails.
    pub country: String,
    /// Codes that the provider took.
    pub sent: i64,
    /// Codes that it refused for good.
    pub failed: i64,
    /// Codes that were verified.
    pub verified: i64,
    /// Text messages as networks count and bill them.
    pub segments: i64,
}

statements! {
    SELECT = "SELECT provider, COALESCE(country, '') AS country, COUNT(CASE WHEN state <> 'failed' THEN 1 END) AS sent,
        COUNT(CASE WHEN state = 'failed' THEN 1 END) AS failed,
        COUNT(CASE WHEN state = 'verified' THEN 1 END) AS verified,
        CAST(COALESCE(SUM(segments), 0) AS BIGINT) AS segments FROM verifications
        WHERE provider IS NOT NULL AND issued_at > $1 GROUP BY provider, country ORDER BY sent DESC, provider, country";
}

impl Reader {
    /// Conversion since a time, by provider and country.
    pub async fn conversion(&mut self, since: Timestamp) -> Result<Vec<Conversion>, StoreError> {
        fetch!(fetch_all, self, SELECT, [since])
    }
}
