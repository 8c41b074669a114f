//! Noticing a pooler that gives each transaction another server.

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

/// Rounds: beside the connections of other programs one may see nothing.
const ROUNDS: u32 = 5;
const SELECT_PID: &str = "SELECT pg_backend_pid()";

/// Whether a connection's server is lent to another connection, or changes, while it is open.
pub(super) async fn changes_servers(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut ours = PgConnection::connect_with(options).await?;
    let mut other = PgConnection::connect_with(options).await?;
    let mut changes = false;
    for _ in 0..ROUNDS {
        let first = server(&mut ours).await?;
        let mut transaction = other.begin().await?;
        let lent = server(&mut transaction).await?;
        // Where it is lent there may be no second one to ask.
        changes = lent == first || server(&mut ours).await? != first;
        transaction.rollback().await?;
        if changes {
            break;
        }
    }
    ours.close().await?;
    other.close().await?;
    Ok(changes)
}

/// The process that serves this statement, asked for without a prepared statement.
async fn server(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    use sqlx::{Executor as _, Row as _};
    connection.fetch_one(sqlx::raw_sql(SELECT_PID)).await?.try_get(0)
}
