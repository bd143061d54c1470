//! The archive's tables: sealed copies of mail, found again by keyed tags, forgotten when their time is over and no legal
//! hold keeps them. The spool opens none of them, and has no way to take out a single one.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use super::config::{MOVE_BYTES, SWEEP_ROWS_MAX};
use super::desk::Desk;
use super::stored::stored_as;
use super::writer::Demand;
use super::{LargeBody, Order, RowId, Spool, SpoolError, UnixMillis, time};

stored_as! {
    /// Which way an archived mail went, as people who keep records see it.
    CopyWay {
        /// From our people to somebody else (to some of our own as well, perhaps).
        Out = 0 "out",
        /// From somebody else to our people.
        In = 1 "in",
        /// From our people to our people only.
        Inside = 2 "inside",
    }
}

/// A copy on its way into the archive.
#[derive(Debug, Clone)]
pub struct NewCopy {
    /// Its name: a second copy under the same is not kept.
    pub id: RowId,
    /// The queue id of its mail.
    pub queue_id: String,
    /// Which way the mail went.
    pub way: CopyWay,
    /// When it was accepted or opened.
    pub at: UnixMillis,
    /// The rule or hold that asks for it.
    pub rule: String,
    /// Kept until then at least.
    pub keep_until: UnixMillis,
    /// The archive key that it is sealed to.
    pub key_id: [u8; 16],
    /// Keyed tag of the Message-ID.
    pub message_id_tag: Option<[u8; 16]>,
    /// Keyed tags of everybody in the envelope and of their domains.
    pub people: Vec<[u8; 16]>,
    /// Envelope, facts and octets, sealed to the archive key.
    pub sealed: Bytes,
    /// The large body that has the octets, where `sealed` has only its key.
    pub large: Option<LargeBody>,
}

/// What the spool knows of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Order of coming; a cursor.
    pub seq: i64,
    /// Its name.
    pub id: RowId,
    /// The queue id of its mail.
    pub queue_id: String,
    /// Which way the mail went.
    pub way: CopyWay,
    /// When it was accepted or opened.
    pub at: UnixMillis,
    /// The rule or hold that asked for it.
    pub rule: String,
    /// Kept until then at least.
    pub keep_until: UnixMillis,
    /// The archive key that opens it.
    pub key_id: [u8; 16],
    /// Bytes that rest for it, those of its large body among them.
    pub bytes: u64,
    /// The large body that has the octets.
    pub large: Option<LargeBody>,
    /// The legal holds that keep it.
    pub holds: Vec<String>,
}

/// Which copies are meant. What is absent does not narrow; what is there must all fit.
#[derive(Debug, Clone, Default)]
pub struct CopyQuery {
    /// Any one of these people or domains.
    pub people: Vec<[u8; 16]>,
    /// This Message-ID.
    pub message_id_tag: Option<[u8; 16]>,
    /// The id of a copy.
    pub id: Option<RowId>,
    /// The queue id of a mail.
    pub queue_id: Option<String>,
    /// Not before.
    pub from: Option<UnixMillis>,
    /// Before.
    pub until: Option<UnixMillis>,
}

/// What rests in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveTally {
    /// Copies.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they may take at most.
    pub bytes_max: u64,
}

/// A legal hold as it rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHold {
    /// Its name, in clear.
    pub name: String,
    /// Mail from then on.
    pub from: UnixMillis,
    /// Mail before then.
    pub until: UnixMillis,
    /// Keyed tags of whom it names; nobody: everybody.
    pub people: Vec<[u8; 16]>,
    /// Who ordered it, why, and whom it names, sealed to ourselves.
    pub sealed: Vec<u8>,
}

impl Spool {
    /// Keeps a copy, durably and once: the same name again changes nothing.
    ///
    /// # Errors
    /// [`SpoolError::ArchiveFull`] and other temporary ones.
    pub async fn archive(&self, copy: NewCopy) -> Result<(), SpoolError> {
        let bytes_max = self.config().archive_bytes_max;
        self.submit(copy.sealed.len(), Demand::Mail, move |desk| desk.archive(&copy, bytes_max)).await
    }

    /// Copies, oldest first, from behind `after` on.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn copies(&self, query: CopyQuery, after: i64, limit: usize) -> Result<Vec<Copy>, SpoolError> {
        self.read(move |conn| copies(conn, &query, after, limit)).await
    }

    /// How many copies are meant, and their bytes.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn count_copies(&self, query: CopyQuery) -> Result<(u64, u64), SpoolError> {
        self.read(move |conn| {
            let (narrow, values) = query.narrow(0);
            conn.query_row(
                &format!("SELECT count(*), coalesce(sum(bytes), 0) FROM archive a WHERE {narrow}"),
                params_from_iter(values),
                |row| Ok((time::count_from_sql(row.get(0)?), time::count_from_sql(row.get(1)?))),
            )
        })
        .await
    }

    /// The sealed form of a copy; `None` when its time was over.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn sealed_copy(&self, seq: i64) -> Result<Option<Vec<u8>>, SpoolError> {
        self.read(move |conn| {
            conn.prepare_cached("SELECT sealed FROM archive_copies WHERE copy = ?1")?
                .query_row([seq], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// What rests in the archive.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn archive_tally(&self) -> Result<ArchiveTally, SpoolError> {
        let bytes_max = self.config().archive_bytes_max;
        self.read(move |conn| tally(conn, bytes_max)).await
    }

    /// Forgets copies whose time is over at the time of `order` and that no hold keeps, in small steps; each step with an
    /// entry in the audit.
    ///
    /// # Errors
    /// Temporary ones; what was forgotten before the error stays forgotten.
    pub async fn purge_archive(&self, order: Order) -> Result<u64, SpoolError> {
        let mut gone = 0;
        loop {
            let order = order.clone();
            let step =
                self.submit(MOVE_BYTES, Demand::Housework, move |desk| desk.purge_copies(&order)).await?;
            gone += step as u64;
            if step < SWEEP_ROWS_MAX {
                return Ok(gone);
            }
        }
    }

    /// Keeps a legal hold, with an entry in the audit.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] when there is one of that name, or temporary ones.
    pub async fn add_archive_hold(&self, hold: KeptHold, order: Order) -> Result<(), SpoolError> {
        self.write_audited(order, hold.name.clone(), move |conn| {
            conn.execute(
                "INSERT INTO archive_holds (name, from_at, until_at, everybody, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    hold.name,
                    time::to_sql(hold.from),
                    time::to_sql(hold.until),
                    hold.people.is_empty(),
                    hold.sealed
                ],
            )?;
            let mut name = conn.prepare_cached("INSERT OR IGNORE INTO archive_hold_people VALUES (?1, ?2)")?;
            hold.people.iter().try_for_each(|tag| name.execute(params![hold.name, tag]).map(drop))
        })
        .await
    }

    /// Lifts a legal hold, with an entry in the audit.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn lift_archive_hold(&self, name: String, order: Order) -> Result<(), SpoolError> {
        self.write_audited(order, name.clone(), move |conn| {
            conn.execute("DELETE FROM archive_holds WHERE name = ?1", [name]).map(drop)
        })
        .await
    }

    /// The legal holds, by name.
    ///
    /// # Errors
    /// Temporary ones.
    pub async fn archive_holds(&self) -> Result<Vec<KeptHold>, SpoolError> {
        self.read(|conn| {
            let mut people = conn.prepare_cached("SELECT tag FROM archive_hold_people WHERE hold = ?1")?;
            let mut holds = conn
                .prepare_cached("SELECT name, from_at, until_at, sealed FROM archive_holds ORDER BY name")?;
            let holds = holds.query_map([], |row| {
                let name: String = row.get(0)?;
                let people = people.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
                let (from, until) = (time::from_sql(row.get(1)?), time::from_sql(row.get(2)?));
                Ok(KeptHold { name, from, until, people, sealed: row.get(3)? })
            })?;
            holds.collect()
        })
        .await
    }
}

impl Desk<'_> {
    /// Keeps a copy, unless it is kept already.
    pub(super) fn archive(&self, copy: &NewCopy, bytes_max: u64) -> Result<(), SpoolError> {
        let beside = copy.large.map(|body| self.keep_body(body)).transpose()?.unwrap_or(0);
        let bytes = copy.sealed.len() as u64 + beside;
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO archive (id, queue_id, way, at, rule, keep_until, key_id, message_id_tag, bytes, large)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                copy.id,
                copy.queue_id,
                copy.way,
                time::to_sql(copy.at),
                copy.rule,
                time::to_sql(copy.keep_until),
                copy.key_id,
                copy.message_id_tag,
                time::count_to_sql(bytes),
                copy.large,
            ])?;
        if inserted == 0 {
            return Ok(());
        }
        let seq = self.conn.last_insert_rowid();
        if tally(self.conn, bytes_max)?.bytes > bytes_max {
            return Err(SpoolError::ArchiveFull); // the savepoint takes the row back
        }
        self.conn
            .prepare_cached("INSERT INTO archive_copies (copy, sealed) VALUES (?1, ?2)")?
            .execute(params![seq, copy.sealed.as_ref()])?;
        let mut name = self.conn.prepare_cached("INSERT OR IGNORE INTO archive_people VALUES (?1, ?2)")?;
        copy.people.iter().try_for_each(|tag| name.execute(params![tag, seq]).map(drop))?;
        Ok(())
    }

    fn purge_copies(&self, order: &Order) -> Result<usize, SpoolError> {
        let gone = self
            .conn
            .prepare_cached(
                "DELETE FROM archive WHERE seq IN (
                     SELECT a.seq FROM archive a
                     WHERE a.keep_until <= ?1 AND NOT EXISTS (SELECT 1 FROM archive_held h WHERE h.copy = a.seq)
                     ORDER BY a.keep_until LIMIT ?2)",
            )?
            .execute(params![time::to_sql(order.at), time::len_to_sql(SWEEP_ROWS_MAX)])?;
        if gone > 0 {
            let subject = format!("{gone} copies");
            self.audit(order.at, &order.by, order.act, &subject, &order.why)?;
        }
        Ok(gone)
    }
}

impl CopyQuery {
    /// The condition and its values; `?1` is the cursor.
    fn narrow(&self, after: i64) -> (String, Vec<Box<dyn ToSql>>) {
        let mut clauses = vec!["a.seq > ?1".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(after)];
        let mut add = |clause: &str, value: Box<dyn ToSql>| {
            values.push(value);
            clauses.push(format!("{clause} ?{}", values.len()));
        };
        if let Some(tag) = self.message_id_tag {
            add("a.message_id_tag =", Box::new(tag));
        }
        if let Some(id) = self.id {
            add("a.id =", Box::new(id));
        }
        if let Some(queue_id) = &self.queue_id {
            add("a.queue_id =", Box::new(queue_id.clone()));
        }
        if let Some(from) = self.from {
            add("a.at >=", Box::new(time::to_sql(from)));
        }
        if let Some(until) = self.until {
            add("a.at <", Box::new(time::to_sql(until)));
        }
        if !self.people.is_empty() {
            let first = values.len() + 1;
            values.extend(self.people.iter().map(|tag| Box::new(*tag) as Box<dyn ToSql>));
            let marks: Vec<String> = (first..=values.len()).map(|place| format!("?{place}")).collect();
            clauses.push(format!(
                "a.seq IN (SELECT copy FROM archive_people WHERE tag IN ({}))",
                marks.join(", ")
            ));
        }
        (clauses.join(" AND "), values)
    }
}

fn copies(conn: &Connection, query: &CopyQuery, after: i64, limit: usize) -> rusqlite::Result<Vec<Copy>> {
    let (narrow, mut values) = query.narrow(after);
    values.push(Box::new(time::len_to_sql(limit)));
    let sql = format!(
        "SELECT a.seq, a.id, a.queue_id, a.way, a.at, a.rule, a.keep_until, a.key_id, a.bytes, a.large FROM archive a
         WHERE {narrow} ORDER BY a.seq LIMIT ?{}",
        values.len()
    );
    let mut holds = conn.prepare_cached("SELECT hold FROM archive_held WHERE copy = ?1 ORDER BY hold")?;
    let mut found = conn.prepare(&sql)?;
    let found = found.query_map(params_from_iter(values), |row| {
        let seq: i64 = row.get(0)?;
        Ok(Copy {
            seq,
            id: row.get(1)?,
            queue_id: row.get(2)?,
            way: row.get(3)?,
            at: time::from_sql(row.get(4)?),
            rule: row.get(5)?,
            keep_until: time::from_sql(row.get(6)?),
            key_id: row.get(7)?,
            bytes: time::count_from_sql(row.get(8)?),
            large: row.get(9)?,
            holds: holds.query_map([seq], |row| row.get(0))?.collect::<Result<_, _>>()?,
        })
    })?;
    found.collect()
}

fn tally(conn: &Connection, bytes_max: u64) -> rusqlite::Result<ArchiveTally> {
    conn.prepare_cached("SELECT copies, bytes FROM archive_tally")?.query_row([], |row| {
        let (copies, bytes) = (time::count_from_sql(row.get(0)?), time::count_from_sql(row.get(1)?));
        Ok(ArchiveTally { copies, bytes, bytes_max })
    })
}
