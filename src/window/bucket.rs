//! Event time in quarters of an hour: how finely changes of silver are tracked.

use chrono::{DateTime, TimeZone, Utc};

/// Every zone's hours and days begin at a quarter of an hour of UTC; some begin at :30 or :45.
const SECONDS: i64 = 15 * 60;

/// A quarter of an hour, counted from 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub i32);

impl Bucket {
    /// Of rows whose time is NULL.
    pub const NO_TIME: Bucket = Bucket(i32::MIN);

    /// The quarter in which an instant lies, given in whole seconds since 1970.
    pub fn of_seconds(seconds: i64) -> Bucket {
        // every time that ClickHouse holds is within its range
        Bucket(i32::try_from(seconds.div_euclid(SECONDS)).unwrap_or(i32::MAX))
    }

    /// The same in SQL, of a column of dates or instants; an Int32 that is never NULL.
    pub fn sql(quoted: &str) -> String {
        // a Date32 is no number to ClickHouse, an instant before 1970 has a fraction to be floored
        format!(
            "ifNull(toInt32(floor(toFloat64(toDateTime64({quoted}, 3, 'UTC')) / {SECONDS})), toInt32({}))",
            Bucket::NO_TIME.0
        )
    }

    pub fn begin(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_opt(i64::from(self.0) * SECONDS, 0).single()
    }

    pub fn end(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_opt((i64::from(self.0) + 1) * SECONDS, 0)
            .single()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_lies_in_its_quarter_before_1970_too() {
        for (seconds, bucket) in [(0, 0), (899, 0), (900, 1), (-1, -1), (-900, -1), (-901, -2)] {
            assert_eq!(Bucket::of_seconds(seconds), Bucket(bucket), "{seconds}");
        }
        let bucket = Bucket(2);
        assert_eq!(bucket.begin().map(|at| at.timestamp()), Some(1800));
        assert_eq!(bucket.end().map(|at| at.timestamp()), Some(2700));
    }
}
