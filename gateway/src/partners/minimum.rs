//! The weakest suite that an administrator accepts with one partner, in both directions.

use std::collections::HashMap;

use dccp::{Did, Suite};
use rusqlite::{Connection, params};

use crate::spool::{Spool, SpoolError};

/// Sets the weakest suite for a partner; `None`: the house's minimum counts for it again. The running gateway follows
/// within seconds.
///
/// # Errors
/// The database's.
pub async fn set_suite_minimum(
    spool: &Spool,
    partner: &Did,
    minimum: Option<Suite>,
) -> Result<(), SpoolError> {
    let did = partner.to_string();
    spool
        .write(move |database| match minimum {
            Some(suite) => database.execute(
                "INSERT OR REPLACE INTO partner_minimums (did, suite) VALUES (?1, ?2)",
                params![did, suite.id()],
            ),
            None => database.execute("DELETE FROM partner_minimums WHERE did = ?1", [did]),
        })
        .await?;
    Ok(())
}

/// Every minimum that was set. A suite that this version does not know is above all that it does: the strongest counts.
pub(super) fn all(database: &Connection) -> rusqlite::Result<HashMap<String, Suite>> {
    let mut query = database.prepare_cached("SELECT did, suite FROM partner_minimums")?;
    let row = |row: &rusqlite::Row<'_>| {
        let (did, suite): (String, u32) = (row.get(0)?, row.get(1)?);
        Ok((did, Suite::try_from(suite).unwrap_or(Suite::X0001)))
    };
    query.query_map([], row)?.collect()
}
