//! Times and sizes between our unsigned numbers and SQLite's signed ones. Both ends saturate: a far future stays far.

use super::UnixMillis;

pub(super) fn to_sql(time: UnixMillis) -> i64 {
    count_to_sql(time.0)
}

pub(super) fn from_sql(time: i64) -> UnixMillis {
    UnixMillis(count_from_sql(time))
}

pub(super) fn count_to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count_from_sql(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn len_to_sql(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
