//! Rows as the values that they hold.

use sqlx::{ColumnIndex, FromRow, Row, ValueRef as _};

/// The right side of a left join, told by its id.
pub(super) struct Joined<T>(pub(super) Option<T>);

impl<'r, R: Row, T: FromRow<'r, R>> FromRow<'r, R> for Joined<T>
where
    &'static str: ColumnIndex<R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let is_there = !row.try_get_raw("id")?.is_null();
        is_there.then(|| T::from_row(row)).transpose().map(Self)
    }
}

/// Reads a value by the row that it is made from.
macro_rules! read_by_row {
    ($value:ty, $row:ty) => {
        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $value
        where
            $row: sqlx::FromRow<'r, R>,
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                <$row>::from_row(row).map(Self::from)
            }
        }
    };
}
pub(super) use read_by_row;
