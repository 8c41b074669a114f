//! The right side of a left join.

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
