//! Promises about agents and their inboxes.

use bytes::Bytes;
use dccp::UnixMillis;
use futures::TryStreamExt;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::inbox::Content;
use super::*;
use crate::flows::bodies::{Bodies, Edit, Stored};
use crate::spool::{RowId, SpoolConfig, SpoolGuard};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const BOUNDS: Bounds = Bounds { message_bytes_max: 1_000, messages_max: 3, bytes_max: 2_000 };
const SECRET: &str = "the takeover of Initech";

struct House {
    folder: TempDir,
    guard: SpoolGuard,
    agents: Agents,
}

impl House {
    fn open() -> House {
        House::open_in(tempfile::tempdir().unwrap())
    }

    fn open_in(folder: TempDir) -> House {
        let (spool, guard) = Spool::open(folder.path().join("gateway.db"), SpoolConfig::default()).unwrap();
        let vault = Arc::new(Vault::new(Zeroizing::new([7; 32])));
        let agents = Agents::new(spool, vault, &["Agents.globex.test".to_owned()], BOUNDS);
        House { folder, guard, agents }
    }

    async fn restarted(self) -> House {
        drop(self.agents);
        self.guard.close().await;
        House::open_in(self.folder)
    }

    async fn add(&self, address: &str) -> Agent {
        let token = self.agents.add(&at(address), "Order desk", NOW).await.unwrap();
        self.agents.of_token(&token).await.unwrap().unwrap()
    }

    /// Puts a mail of `bytes` octets into inboxes.
    async fn put(&self, id: RowId, bytes: usize, to: &[&str]) -> Vec<Put> {
        let facts = Facts {
            subject: Some(SECRET.to_owned()),
            internet_message_id: Some("m1@acme.test".to_owned()),
            answers: 4,
            ..Facts::default()
        };
        let octets = SECRET.repeat(50).into_bytes();
        let mail = Incoming { id, facts, octets: Stored::Whole(octets[..bytes].into()), now: NOW };
        let to = to.iter().map(|to| (*to).to_owned()).collect();
        self.agents.put(mail, to).await.unwrap().into_iter().map(|(_, put)| put).collect()
    }
}

fn at(address: &str) -> Address {
    address.parse().unwrap()
}

const A1: &str = "a1@agents.globex.test";
const A2: &str = "a2@agents.globex.test";

#[tokio::test]
async fn a_mail_waits_over_a_restart_until_it_is_acknowledged() {
    let house = House::open();
    let a1 = house.add(A1).await;
    let id = RowId::fresh();
    assert_eq!(house.put(id, 100, &["A1@agents.globex.test"]).await, [Put::Taken]);
    let house = house.restarted().await;
    let waiting = house.agents.waiting(a1.id, 10).await.unwrap();
    assert_eq!((waiting[0].id, waiting[0].bytes), (id.0, 100));
    assert_eq!(waiting[0].facts.to, "A1@agents.globex.test");
    assert_eq!(waiting[0].facts.subject.as_deref(), Some(SECRET));
    let content = house.agents.content(a1.id, id.0).await.unwrap();
    let Some(Content::Octets(octets)) = content else { panic!("octets") };
    assert_eq!(octets.as_slice(), &SECRET.repeat(50).as_bytes()[..100]);
    assert!(house.agents.acknowledge(a1.id, id.0).await.unwrap());
    let house = house.restarted().await;
    assert!(house.agents.waiting(a1.id, 10).await.unwrap().is_empty());
    assert!(house.agents.content(a1.id, id.0).await.unwrap().is_none());
    assert!(house.agents.acknowledge(a1.id, id.0).await.unwrap(), "said twice it is no mistake");
}

#[tokio::test]
async fn a_large_mail_is_read_from_where_it_rests_and_its_body_goes_with_the_last_inbox() {
    let house = House::open();
    let (a1, a2) = (house.add(A1).await, house.add(A2).await);
    let (agents, spool, id) = (&house.agents, house.agents.0.spool.clone(), RowId::fresh());
    let octets = Bytes::from(SECRET.repeat(20_000));
    let put_away = Bodies::new(spool.clone()).put_away(vec![octets.clone()]).await.unwrap();
    spool.write(|conn| conn.execute("UPDATE large_bodies SET standing = 1", [])).await.unwrap(); // as its row does
    let edit = Edit::none(&octets).behind("Received: here\r\n");
    let stored = || edit.done(&octets, &put_away.content, put_away.large);
    let mail = || Incoming { id, facts: Facts::default(), octets: stored(), now: NOW };
    let to = || vec![A1.to_owned(), A2.to_owned()];
    let refused = agents.put(mail(), to()).await.unwrap();
    assert!(refused.iter().all(|(_, put)| *put == Put::TooLarge), "it counts with all its octets");
    let bounds = Bounds { message_bytes_max: 1_000_000, bytes_max: 1_000_000, ..BOUNDS };
    let agents = &Agents::new(spool.clone(), agents.0.vault.clone(), &agents.0.domains, bounds);
    let taken = agents.put(mail(), to()).await.unwrap();
    assert!(taken.iter().all(|(_, put)| *put == Put::Taken));
    for agent in [&a1, &a2] {
        assert_eq!(spool.large_counts().await.unwrap().kept.rows, 1);
        let Some(Content::Body(large, rendition)) = agents.content(agent.id, id.0).await.unwrap() else {
            panic!("it is beside")
        };
        let read: Vec<Bytes> = agents.rendered(large, rendition).unwrap().try_collect().await.unwrap();
        assert!(read.concat() == edit.pieces(&octets).concat());
        assert!(agents.acknowledge(agent.id, id.0).await.unwrap());
    }
    assert_eq!(spool.large_counts().await.unwrap().over.rows, 1);
}

#[tokio::test]
async fn a_delivery_that_is_tried_again_delivers_once_even_after_the_acknowledgement() {
    let house = House::open();
    let a1 = house.add(A1).await;
    let id = RowId::fresh();
    for _ in 0..2 {
        assert_eq!(house.put(id, 100, &[A1]).await, [Put::Taken]);
        assert_eq!(house.agents.waiting(a1.id, 10).await.unwrap().len(), 1);
    }
    house.agents.acknowledge(a1.id, id.0).await.unwrap();
    assert_eq!(house.put(id, 100, &[A1]).await, [Put::Taken]);
    assert!(house.agents.waiting(a1.id, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let house = House::open();
    let (a1, a2) = (house.add(A1).await, house.add(A2).await);
    for _ in 0..BOUNDS.messages_max {
        house.put(RowId::fresh(), 10, &[A2]).await;
    }
    let put = house.put(RowId::fresh(), 100, &[A1, A2, "a3@agents.globex.test"]).await;
    assert_eq!(put, [Put::Taken, Put::Full, Put::Unknown]);
    assert_eq!(house.put(RowId::fresh(), 1_001, &[A1]).await, [Put::TooLarge]);
    assert_eq!(house.agents.waiting(a1.id, 10).await.unwrap().len(), 1);
    let oldest = house.agents.waiting(a2.id, 10).await.unwrap()[0].id;
    house.agents.acknowledge(a2.id, oldest).await.unwrap();
    assert_eq!(house.put(RowId::fresh(), 100, &[A2]).await, [Put::Taken], "there is room again");
    let octets =
        [house.put(RowId::fresh(), 1_000, &[A1]).await, house.put(RowId::fresh(), 1_000, &[A1]).await];
    assert_eq!(octets, [[Put::Taken], [Put::Full]], "octets are bounded too");
}

#[tokio::test]
async fn nobody_reads_or_takes_the_mail_of_another_agent() {
    let house = House::open();
    let (a1, a2) = (house.add(A1).await, house.add(A2).await);
    let id = RowId::fresh();
    house.put(id, 100, &[A1]).await;
    assert!(house.agents.waiting(a2.id, 10).await.unwrap().is_empty());
    assert!(house.agents.content(a2.id, id.0).await.unwrap().is_none());
    assert!(!house.agents.acknowledge(a2.id, id.0).await.unwrap());
    assert_eq!(house.agents.waiting(a1.id, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_removed_has_no_token_and_no_inbox_any_more() {
    let house = House::open();
    let token = house.agents.add(&at(A1), "", NOW).await.unwrap();
    house.put(RowId::fresh(), 100, &[A1]).await;
    assert!(matches!(house.agents.add(&at(A1), "", NOW).await, Err(AgentError::Taken(_))));
    assert!(house.agents.remove(&at(A1)).await.unwrap());
    assert!(house.agents.of_token(&token).await.unwrap().is_none());
    assert!(!house.agents.knows(A1).await.unwrap() && !house.agents.remove(&at(A1)).await.unwrap());
    let again = house.add(A1).await;
    assert!(house.agents.waiting(again.id, 10).await.unwrap().is_empty(), "the next one does not inherit");
}

#[tokio::test]
async fn another_token_ends_the_one_before() {
    let house = House::open();
    let first = house.agents.add(&at(A1), "", NOW).await.unwrap();
    let second = house.agents.renew(&at(A1)).await.unwrap();
    assert!(house.agents.of_token(&first).await.unwrap().is_none());
    assert_eq!(house.agents.of_token(&second).await.unwrap().unwrap().address, at(A1));
    assert!(matches!(house.agents.renew(&at(A2)).await, Err(AgentError::Unknown(_))));
}

#[tokio::test]
async fn only_an_agents_domain_has_agents() {
    let house = House::open();
    let stranger = house.agents.add(&at("bob@globex.test"), "", NOW).await;
    assert!(matches!(stranger, Err(AgentError::NotHere(_))));
    assert!(matches!(house.agents.add(&at(A1), "a\r\nb", NOW).await, Err(AgentError::Name(_))));
    assert!(house.agents.own("x@AGENTS.globex.test") && !house.agents.own("x@sub.agents.globex.test"));
    assert!(!house.agents.own("") && !house.agents.own("postmaster"));
}

#[tokio::test]
async fn an_answer_counts_from_the_mail_that_it_answers() {
    let house = House::open();
    let a1 = house.add(A1).await;
    let id = RowId::fresh();
    house.put(id, 100, &[A1]).await;
    house.agents.acknowledge(a1.id, id.0).await.unwrap();
    assert_eq!(house.agents.answers_before(a1.id, "m1@acme.test").await.unwrap(), Some(4));
    assert_eq!(house.agents.answers_before(a1.id, "m2@acme.test").await.unwrap(), None);
}

#[tokio::test]
async fn nothing_clear_rests() {
    let house = House::open();
    house.add(A1).await;
    house.put(RowId::fresh(), 100, &[A1]).await;
    for file in std::fs::read_dir(house.folder.path()).unwrap() {
        let octets = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [SECRET, A1, "Order desk", "m1@acme.test"] {
            assert!(!octets.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}

#[tokio::test]
async fn whoever_waits_hears_a_mail_come() {
    let house = House::open();
    house.add(A1).await;
    let mut bell = house.agents.listen();
    bell.mark_unchanged();
    house.put(RowId::fresh(), 100, &[A1]).await;
    bell.changed().await.unwrap();
}
