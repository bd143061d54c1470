//! New people: their keys and foundings, made before the transaction that gives them a place in the tree.

use std::collections::HashSet;

use dccp::UnixMillis;
use dccp::address::canonical;
use dccp::did::{Aka, Commitment, Custody, Founding, Log, LogError, Quorum, found};
use dccp::transparency::{Binding, BindingState};
use dccp::tree::Hash;
use rand::Rng;
use rusqlite::Connection;

use super::keys::{PERSON_ID_BYTES, PersonId, Secret};
use super::registrar::{ADDRESS, Added, Holding, NewPerson, PeopleError, tag};
use super::table::{self, Row, Standing};
use super::{Authority, tree};
use crate::spool::SpoolError;

/// A person whose keys are made and who has no place in the tree yet.
pub(super) struct Made {
    row: Row,
    address: String,
}

/// Makes the identities of new people, on all processors: two key pairs and a signature each.
pub(super) fn make(
    authority: &dyn Authority,
    secret: &Secret,
    people: &[NewPerson],
    now: UnixMillis,
) -> Result<Vec<Made>, PeopleError> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = people.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let shares: Vec<_> = people
            .chunks(share)
            .map(|share| {
                let make =
                    move || share.iter().map(|person| make_one(authority, secret, person, now)).collect();
                scope.spawn(make)
            })
            .collect();
        let mut made = Vec::with_capacity(people.len());
        for share in shares {
            let share: Result<Vec<Made>, PeopleError> =
                share.join().map_err(|_panicked| SpoolError::Panicked)?;
            made.extend(share?);
        }
        Ok(made)
    })
}

fn make_one(
    authority: &dyn Authority,
    secret: &Secret,
    person: &NewPerson,
    now: UnixMillis,
) -> Result<Made, PeopleError> {
    let mut id: PersonId = [0; PERSON_ID_BYTES];
    rand::rng().fill_bytes(&mut id);
    let (custody, recovery) = match person.holding {
        Holding::Org => (Custody::Org, None),
        Holding::Joint(theirs) => (Custody::Joint, Some(theirs)),
        Holding::Own(theirs) => (Custody::Own, Some(theirs)),
    };
    let address = canonical(&person.address);
    let sealed = authority.vault().seal(ADDRESS, address.as_bytes());
    let mut row = Row {
        id,
        did: authority.did().clone(),
        tag: tag(authority, &address),
        address: sealed,
        custody,
        recovery,
        standing: Standing::Unlisted,
        generation: 0,
        leaf: 0,
        added_at: now,
    };
    row.did = genesis(authority, secret, &row, &address)
        .map_err(|error| PeopleError::Records(authority.did().clone(), error.to_string()))?
        .did();
    Ok(Made { row, address })
}

/// The founding of a person: the same body, and so the same DID, whenever it is made from the same row.
pub(super) fn genesis(
    authority: &dyn Authority,
    secret: &Secret,
    row: &Row,
    address: &str,
) -> Result<Log, LogError> {
    let operator = secret.operator(&row.id);
    let ours = || Commitment::of(secret.recovery(&row.id).verifying_key());
    let recovery = match (row.custody, row.recovery) {
        (Custody::Joint, Some(theirs)) => Quorum { members: vec![theirs, ours()], threshold: 1 },
        (_, Some(theirs)) => Quorum::one(theirs),
        (_, None) => Quorum::one(ours()),
    };
    let aka = vec![Aka::of(&secret.salt(&row.id), address)];
    let public = operator.verifying_key().clone();
    let founding =
        Founding::person(authority.did().clone(), row.custody, public, recovery, aka, row.added_at);
    found(&founding, &[&operator])
}

/// Inside the transaction: gives each new person a place, unless the address was taken meanwhile.
pub(super) fn settle(
    database: &Connection,
    made: Vec<Made>,
    addresses: &[String],
    authority: &dyn Authority,
    secret: &Secret,
    now: UnixMillis,
) -> rusqlite::Result<Vec<Added>> {
    let first = tree::head(database)?.size;
    let mut leaves: Vec<Hash> = Vec::with_capacity(made.len());
    let mut fresh = HashSet::new();
    for Made { mut row, address } in made {
        if table::bound(database, &row.tag)?.is_some() {
            continue;
        }
        row.generation = table::generations(database, &row.tag)?;
        row.leaf = first + leaves.len() as u64;
        let (salt, state) = (secret.salt(&row.id), BindingState::Bound);
        let binding =
            Binding { salt: &salt, address: &address, did: &row.did, generation: row.generation, state };
        leaves.push(binding.leaf());
        table::insert(database, &row)?;
        fresh.insert(row.did);
    }
    if !leaves.is_empty() {
        tree::append(database, &leaves, authority, now)?;
    }
    let mut added = Vec::with_capacity(addresses.len());
    for address in addresses {
        let row = table::bound(database, &tag(authority, address))?;
        let did = row.ok_or(rusqlite::Error::QueryReturnedNoRows)?.did;
        // An address that stands twice in a batch is fresh once.
        added.push(Added { address: address.clone(), fresh: fresh.remove(&did), did });
    }
    Ok(added)
}
