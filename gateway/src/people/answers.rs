//! Answers to whoever asks over `/dccp/find/1`.
//!
//! A person is named only if they are published and the asker is within the allowance. For everybody else, be they
//! unlisted, gone, unknown, of another domain, or asked about too often, the same is done (one look-up, one salt, one
//! proof, one signature) and the same is said.

use std::sync::{Arc, Mutex};

use dccp::address::{self, Mode, Person};
use dccp::find::Question;
use dccp::transparency;
use dccp::tree::{Hash, Subtrees, TreeHead};
use dccp::{Did, UnixMillis};
use rusqlite::Connection;

use super::Authority;
use super::grid::{Monotonic, on_the_grid};
use super::keys::{PERSON_ID_BYTES, Secret};
use super::quotas::Quotas;
use super::registrar::{Registrar, is_ours, tag};
use super::table::{self, Row, Standing};
use super::tree::{self, Kept};
use crate::spool::Spool;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// An organisation that we know.
    Partner(Did),
    /// Somebody else, by the binary PeerId.
    Stranger(Vec<u8>),
}

/// Answers questions about our addresses and our tree.
pub struct Registry {
    spool: Spool,
    authority: Arc<dyn Authority>,
    secret: Arc<Secret>,
    quotas: Mutex<Quotas>,
    timer: Monotonic,
}

impl Registry {
    /// Answers for the people of this registrar.
    pub fn new(registrar: &Registrar, now: UnixMillis) -> Registry {
        Registry {
            spool: registrar.spool.clone(),
            authority: registrar.authority.clone(),
            secret: registrar.secret.clone(),
            quotas: Mutex::new(Quotas::new(now)),
            timer: Monotonic::from_now(),
        }
    }

    /// The answer to a question, on a fixed grid of time. `None` when the bytes are no question of this version, or the
    /// database does not answer: both have nothing to do with who is asked about.
    pub async fn answer(&self, question: &[u8], asker: &Asker, now: UnixMillis) -> Option<Vec<u8>> {
        let answer = match Question::from_bytes(question).ok()? {
            Question::Address(asked) => {
                on_the_grid(&self.timer, self.about_address(asked, question, asker, now)).await
            }
            Question::Tree(asked) => self.about_tree(asked, question, now).await,
        };
        answer
            .inspect_err(|error| tracing::warn!(%error, "a question about our people was not answered"))
            .ok()
    }

    /// The answer to a question about an address, as fast as it comes.
    pub(super) async fn about_address(
        &self,
        asked: address::Question,
        question: &[u8],
        asker: &Asker,
        now: UnixMillis,
    ) -> Result<Vec<u8>, Unanswered> {
        let is_allowed = self.quotas().take(asker, now);
        // What is nobody's address is looked up all the same, under a spelling that nobody has.
        let address = asked.address().unwrap_or_default().to_owned();
        let is_ours = is_ours(self.authority.as_ref(), &address);
        let tag = tag(self.authority.as_ref(), &address);
        let found = self.spool.read(move |database| look(database, &tag)).await?;

        let id = found.row.as_ref().map_or([0; PERSON_ID_BYTES], |row| row.id);
        let salt = self.secret.salt(&id);
        let Found { row, tree, proof } = found;
        let named = row.filter(|row| is_allowed && is_ours && row.standing == Standing::Published);
        let mode = named.map_or(Mode::Domain, |row| {
            let Row { did, generation, leaf: index, .. } = row;
            Mode::User(Box::new(Person { did, salt, generation, index, proof }))
        });
        let answer = address::Answer { mode, tree, at: now };
        Ok(answer.sign(question, self.authority.did(), self.authority.device_key())?)
    }

    async fn about_tree(
        &self,
        asked: transparency::Question,
        question: &[u8],
        now: UnixMillis,
    ) -> Result<Vec<u8>, Unanswered> {
        let (tree, proof) = self.spool.read(move |database| grown(database, &asked)).await?;
        let answer = transparency::Answer { tree, proof, at: now };
        Ok(answer.sign(question, self.authority.did(), self.authority.device_key())?)
    }

    /// The newest head of our tree, for the messages we send. The empty tree says nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn own_tree(&self) -> Result<TreeHead, crate::spool::SpoolError> {
        self.spool.read(tree::head).await
    }

    /// A panic elsewhere cannot leave the quotas half changed: each change is one assignment.
    fn quotas(&self) -> std::sync::MutexGuard<'_, Quotas> {
        self.quotas.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the database: {0}")]
    Spool(#[from] crate::spool::SpoolError),
    #[error(transparent)]
    Answer(#[from] dccp::find::FindError),
}

struct Found {
    row: Option<Row>,
    tree: TreeHead,
    proof: Vec<Hash>,
}

/// Looks up a person and proves the binding. Without a person, proves another leaf, which the tag chooses: as much work,
/// and the same leaf whenever the same is asked.
fn look(database: &Connection, tag: &[u8; 16]) -> rusqlite::Result<Found> {
    let row = table::bound(database, tag)?;
    // After the person: who is there has a leaf in this head.
    let tree = tree::head(database)?;
    let any = tag.iter().take(8).fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
    let index = row.as_ref().map_or(any % tree.size.max(1), |row| row.leaf);
    let proof = match tree.size {
        0 => Vec::new(),
        size => proven(Kept(database).prove_inclusion(index, size))?,
    };
    Ok(Found { row, tree, proof })
}

/// The proof that leads from one size to another, as far as our tree goes.
fn grown(database: &Connection, asked: &transparency::Question) -> rusqlite::Result<(TreeHead, Vec<Hash>)> {
    let tree = tree::head(database)?;
    let proof = match asked.new <= tree.size {
        true => proven(Kept(database).prove_consistency(asked.old, asked.new))?,
        false => Vec::new(),
    };
    Ok((tree, proof))
}

/// A proof that cannot be made is an answer that is not given: an empty one would accuse ourselves.
fn proven(proof: Option<Vec<Hash>>) -> rusqlite::Result<Vec<Hash>> {
    proof.ok_or(rusqlite::Error::QueryReturnedNoRows)
}
