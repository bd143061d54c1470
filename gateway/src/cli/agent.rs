//! `agent …`: software of this organisation that has an address, a DID, and a token for the agents' door.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use dccp::UnixMillis;
use smtp::address::Address;

use super::Failure;
use super::partner::with_spool;
use super::trace::utc;
use crate::agents::{AgentError, Agents, Bounds, Registered, Token};
use crate::config::Config;
use crate::custody::Custody;
use crate::people::{Added, Holding, NewPerson, PeopleError, Registrar};

#[derive(Subcommand)]
pub(super) enum AgentCommand {
    /// Give software an address in a domain of agents, and a DID. Prints its token, once.
    Add {
        /// The address.
        address: Address,
        /// What it is called in the mails that it sends.
        #[arg(long, default_value = "")]
        name: String,
        /// Tell whoever asks for the address the DID behind it.
        #[arg(long)]
        publish: bool,
    },
    /// Show all agents, and how much waits for each.
    List,
    /// Show one agent.
    Show {
        /// The address.
        address: Address,
    },
    /// Remove an agent: its token counts no longer, what waits for it is dropped, and its DID ends for ever.
    Remove {
        /// The address.
        address: Address,
    },
    /// Give an agent another token, and print it, once. The one before counts no longer.
    Token {
        /// The address.
        address: Address,
    },
}

/// Who is an agent, and who is behind an address.
struct Desk {
    agents: Agents,
    people: Registrar,
    now: UnixMillis,
}

pub(super) fn agent(command: AgentCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let custody = Arc::new(Custody::open(&config, now).map_err(Failure::said)?);
    with_spool(&config, async |spool| {
        let (vault, bounds) = (custody.vault().clone(), Bounds::of(&config.agents));
        let agents = Agents::new(spool.clone(), vault, &config.agents.domains, bounds);
        let people = Registrar::open(spool, custody).await.map_err(Failure::said)?;
        let desk = Desk { agents, people, now };
        match command {
            AgentCommand::Add { address, name, publish } => desk.add(&address, &name, publish).await,
            AgentCommand::List => desk.list().await,
            AgentCommand::Show { address } => desk.show(&address).await,
            AgentCommand::Remove { address } => desk.remove(&address).await,
            AgentCommand::Token { address } => {
                let token = desk.agents.renew(&address).await.map_err(Failure::said)?;
                Ok(format!("The token before counts no longer. {}", once(&token)))
            }
        }
    })
}

impl Desk {
    /// The token last: an agent that has one has a DID. Begun and not finished, it is begun again.
    async fn add(&self, address: &Address, name: &str, publish: bool) -> Result<String, Failure> {
        if !self.agents.own(address.as_str()) {
            return Err(Failure::said(AgentError::NotHere(address.clone())));
        }
        let newcomer = NewPerson { address: address.to_string(), holding: Holding::Org };
        let added = self.people.add(vec![newcomer], self.now).await.map_err(Failure::said)?;
        if publish {
            self.people.publish(address.as_str()).await.map_err(Failure::said)?;
        }
        let token = self.agents.add(address, name, self.now).await.map_err(Failure::said)?;
        let mut page = String::new();
        for Added { address, did, .. } in added {
            let _ = writeln!(page, "{address} is {did}");
        }
        Ok(page + &once(&token))
    }

    async fn list(&self) -> Result<String, Failure> {
        let mut page = String::new();
        for Registered { agent, messages, bytes } in self.agents.list().await.map_err(Failure::said)? {
            let _ =
                writeln!(page, "{}  {:?}  {messages} waiting ({bytes} octets)", agent.address, agent.name);
        }
        match page.is_empty() {
            true => Ok("No agents yet. Add one with: dccp-gateway agent add ADDRESS\n".into()),
            false => Ok(page),
        }
    }

    async fn show(&self, address: &Address) -> Result<String, Failure> {
        let Registered { agent, messages, bytes } =
            self.agents.agent(address).await.map_err(Failure::said)?;
        let person = self.people.person(address.as_str()).await.map_err(Failure::said)?;
        Ok(format!(
            "{}  {}\n  Name      {}\n  DID       {}\n  Since     {}\n  Waiting   {messages} ({bytes} octets)\n",
            agent.address,
            person.standing.as_str(),
            agent.name,
            person.did,
            utc(agent.added_at.as_u64()),
        ))
    }

    /// The token first: nothing more is taken or sent. A removal that was interrupted is finished.
    async fn remove(&self, address: &Address) -> Result<String, Failure> {
        let unknown = || Failure::said(AgentError::Unknown(address.clone()));
        if !self.agents.own(address.as_str()) {
            return Err(unknown());
        }
        let was_one = self.agents.remove(address).await.map_err(Failure::said)?;
        match self.people.deactivate(address.as_str(), self.now).await {
            Ok(person) => {
                Ok(format!("{address} is no agent any more, and {} has ended for ever.\n", person.did))
            }
            Err(PeopleError::Unknown(_)) if was_one => Ok(format!("{address} is no agent any more.\n")),
            Err(PeopleError::Unknown(_)) => Err(unknown()),
            Err(error) => Err(Failure::said(error)),
        }
    }
}

fn once(token: &Token) -> String {
    format!("Its token, which is shown this once:\n{}\n", *token.reveal())
}
