//! The tree of bindings in the database.

use dccp::UnixMillis;
use dccp::transparency::SignedTreeHead;
use dccp::tree::{Hash, Subtrees, TreeHead, node_hash};
use rusqlite::{Connection, OptionalExtension, params};

use super::Authority;
use super::table::{blob, number, unsigned};

/// The kept subtrees as one connection sees them.
pub(super) struct Kept<'a>(pub(super) &'a Connection);

impl Subtrees for Kept<'_> {
    /// A database that does not answer is a subtree that is not kept: there is then no proof.
    fn subtree(&self, level: u32, index: u64) -> Option<Hash> {
        let look = "SELECT hash FROM tree_nodes WHERE level = ?1 AND position = ?2";
        let mut query = self.0.prepare_cached(look).ok()?;
        query.query_row(params![level, number(index)], |row| blob(row, 0)).ok()
    }
}

/// The newest head; the empty tree when nobody was ever bound.
pub(super) fn head(database: &Connection) -> rusqlite::Result<TreeHead> {
    let look = "SELECT size, root FROM tree_heads ORDER BY size DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok(TreeHead { size: unsigned(row, 0)?, root: blob(row, 1)? });
    let head = database.prepare_cached(look)?.query_row([], read).optional()?;
    Ok(head.unwrap_or(TreeHead::EMPTY))
}

/// What the tree was at `size`; `None` when it never was so large.
pub(super) fn head_at(database: &Connection, size: u64) -> rusqlite::Result<Option<TreeHead>> {
    if size > head(database)?.size {
        return Ok(None);
    }
    Ok(Kept(database).root_of(size).map(|root| TreeHead { size, root }))
}

/// Appends leaves, then keeps the signed head. Inside a transaction.
pub(super) fn append(
    database: &Connection,
    leaves: &[Hash],
    authority: &dyn Authority,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let mut size = head(database)?.size;
    for leaf in leaves {
        push(database, size, *leaf)?;
        size += 1;
    }
    let root = Kept(database).root_of(size).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let head = SignedTreeHead { tree: TreeHead { size, root }, at: now };
    let signed = head.sign(authority.did(), authority.device_key());
    database.execute(
        "INSERT INTO tree_heads (size, root, at, signed) VALUES (?1, ?2, ?3, ?4)",
        params![number(size), root, number(now.as_u64()), signed],
    )?;
    Ok(())
}

/// Leaf number `index`, and every subtree that it completes.
fn push(database: &Connection, index: u64, leaf: Hash) -> rusqlite::Result<()> {
    let mut insert =
        database.prepare_cached("INSERT INTO tree_nodes (level, position, hash) VALUES (?1, ?2, ?3)")?;
    let (mut level, mut position, mut hash) = (0, index, leaf);
    loop {
        insert.execute(params![level, number(position), hash])?;
        if position & 1 == 0 {
            return Ok(());
        }
        let left = Kept(database).subtree(level, position - 1);
        hash = node_hash(&left.ok_or(rusqlite::Error::QueryReturnedNoRows)?, &hash);
        (level, position) = (level + 1, position >> 1);
    }
}
