//! How TLS with each destination went, counted per day for the reports of RFC 8460, in bounded form.

use dccp::UnixMillis;
use rusqlite::{Connection, params};
use smtp::route::tls_report::{Failure, Policy, Tally};

use crate::spool::{Spool, SpoolError};

const DAY_MS: u64 = 24 * 3_600_000;

/// Different results of one domain on one day. A destination whose every connection fails differently costs no more;
/// what goes beyond is counted
/// under the result alone, without host and reason.
const RESULTS_PER_DAY_MAX: i64 = 64;

/// Days that counts are kept: a report that could not be sent the next day is of little use.
const DAYS_KEPT: u64 = 3;

/// Characters of a reason that are kept: enough for people to recognise it.
const REASON_CHARS_MAX: usize = 200;

/// A day in UTC, counted from 1 January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub u64);

impl Day {
    /// The day of a moment.
    pub fn of(at: UnixMillis) -> Self {
        Self(at.0 / DAY_MS)
    }

    /// Its first moment.
    pub fn start(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(DAY_MS))
    }

    /// Its last second.
    pub fn end(self) -> UnixMillis {
        UnixMillis(self.start().0.saturating_add(DAY_MS - 1_000))
    }

    fn number(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// The counts.
#[derive(Clone)]
pub struct TlsReports {
    spool: Spool,
}

impl TlsReports {
    /// In the database of `spool`.
    pub fn new(spool: Spool) -> Self {
        Self { spool }
    }

    /// Counts one session with `domain`. That it could not be counted stops no mail.
    pub(super) async fn count(&self, domain: &str, tally: Tally, now: UnixMillis) {
        let (owned, day) = (domain.to_owned(), Day::of(now));
        let counted = self.spool.write(move |database| add(database, day, &owned, tally)).await;
        if let Err(error) = counted {
            tracing::warn!(%error, domain, "a TLS result cannot be counted; the report will lack it");
        }
    }

    /// The domains with counts of `day`.
    ///
    /// # Errors
    /// The spool's.
    pub async fn domains(&self, day: Day) -> Result<Vec<String>, SpoolError> {
        self.spool
            .read(move |database| {
                let mut ask = database.prepare_cached(
                    "SELECT DISTINCT domain FROM tls_results WHERE day = ?1 ORDER BY domain",
                )?;
                ask.query_map([day.number()], |row| row.get(0))?.collect()
            })
            .await
    }

    /// What was counted for a domain on a day.
    ///
    /// # Errors
    /// The spool's.
    pub async fn of(&self, domain: &str, day: Day) -> Result<Vec<(Tally, u64)>, SpoolError> {
        let domain = domain.to_owned();
        self.spool.read(move |database| all(database, day, &domain)).await
    }

    /// Forgets what a report was made of, and what is too old for one.
    ///
    /// # Errors
    /// The spool's.
    pub async fn forget(&self, domain: &str, day: Day) -> Result<(), SpoolError> {
        let domain = domain.to_owned();
        let oldest = Day(day.0.saturating_sub(DAYS_KEPT));
        self.spool
            .write(move |database| {
                database
                    .prepare_cached("DELETE FROM tls_results WHERE (domain = ?1 AND day = ?2) OR day < ?3")?
                    .execute(params![domain, day.number(), oldest.number()])?;
                Ok(())
            })
            .await
    }
}

fn add(database: &Connection, day: Day, domain: &str, mut tally: Tally) -> rusqlite::Result<()> {
    if let Some(failure) = &mut tally.failure {
        failure.reason = failure.reason.chars().take(REASON_CHARS_MAX).collect();
    }
    let known: i64 = database
        .prepare_cached("SELECT count(*) FROM tls_results WHERE day = ?1 AND domain = ?2")?
        .query_row(params![day.number(), domain], |row| row.get(0))?;
    if known >= RESULTS_PER_DAY_MAX {
        tally = without_details(tally);
    }
    database
        .prepare_cached(
            "INSERT INTO tls_results (day, domain, tally, sessions) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (day, domain, tally) DO UPDATE SET sessions = sessions + 1",
        )?
        .execute(params![day.number(), domain, text_of(&tally)])?;
    Ok(())
}

fn all(database: &Connection, day: Day, domain: &str) -> rusqlite::Result<Vec<(Tally, u64)>> {
    let mut ask = database.prepare_cached(
        "SELECT tally, sessions FROM tls_results WHERE day = ?1 AND domain = ?2 ORDER BY tally",
    )?;
    let rows = ask.query_map(params![day.number(), domain], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    let rows: Vec<(String, u64)> = rows.collect::<Result<_, _>>()?;
    // What another version wrote and this one cannot read is not worth a failed report.
    let tally = |(text, sessions): (String, u64)| Some((serde_json::from_str(&text).ok()?, sessions));
    Ok(rows.into_iter().filter_map(tally).collect())
}

/// Equal tallies have equal texts: the fields are written in their order.
fn text_of(tally: &Tally) -> String {
    serde_json::to_string(tally).unwrap_or_default()
}

/// There are about twenty such tallies at most: the kinds of policies times the results.
fn without_details(Tally { policy, failure }: Tally) -> Tally {
    let policy = Policy { kind: policy.kind, ..Policy::none() };
    let failure = failure.map(|failure| Failure {
        result: failure.result,
        host: String::new(),
        address: None,
        reason: String::new(),
    });
    Tally { policy, failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = Day(20_000);

    fn database() -> Connection {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(include_str!("../spool/schema_exchange.sql")).unwrap();
        database
    }

    fn failed(host: &str) -> Tally {
        let failure = Failure {
            result: "certificate-expired".into(),
            host: host.into(),
            address: "192.0.2.1".parse().ok(),
            reason: "x".repeat(1_000),
        };
        Tally { policy: Policy::none(), failure: Some(failure) }
    }

    #[test]
    fn equal_results_are_one_row_with_a_count_and_days_and_domains_are_apart() {
        let database = database();
        for (day, domain) in [(TODAY, "a.test"), (TODAY, "a.test"), (Day(1), "a.test"), (TODAY, "b.test")] {
            add(&database, day, domain, failed("mx")).unwrap();
        }
        let [(tally, sessions)] = &all(&database, TODAY, "a.test").unwrap()[..] else { panic!() };
        assert_eq!(*sessions, 2);
        let failure = tally.failure.as_ref().unwrap();
        assert_eq!((failure.host.as_str(), failure.reason.len()), ("mx", REASON_CHARS_MAX));
    }

    #[test]
    fn a_destination_that_fails_in_a_thousand_ways_costs_no_more_than_its_share() {
        let database = database();
        for number in 0..1_000 {
            add(&database, TODAY, "a.test", failed(&format!("mx{number}"))).unwrap();
        }
        let tallies = all(&database, TODAY, "a.test").unwrap();
        assert_eq!(tallies.len() as i64, RESULTS_PER_DAY_MAX + 1);
        assert_eq!(tallies.iter().map(|(_, sessions)| sessions).sum::<u64>(), 1_000, "none is lost");
    }

    #[test]
    fn a_day_is_a_day_in_utc() {
        let day = Day::of(UnixMillis(1_459_468_800_000));
        assert_eq!((day.start().0, day.end().0), (1_459_468_800_000, 1_459_555_199_000));
    }
}
