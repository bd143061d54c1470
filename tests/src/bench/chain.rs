//! Two mail servers in a row, whoever they are.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::gateways::{GatewayAlone, GatewayPair};
use super::postfix::{PostfixAlone, PostfixPair};

/// The longest that one round may take until nothing is left in its chain.
pub const ROUND_MAX: Duration = Duration::from_secs(300);

/// A running mail server that takes mail in. Dropping it stops it and removes its data.
pub trait Entrance {
    /// Where mail goes in.
    fn entrance(&self) -> SocketAddr;
    /// Messages that it took and has not finished, acknowledgements included.
    fn unfinished(&self) -> u64;
    /// The last of the log, for when things go wrong.
    fn log_tail(&self) -> String;
}

/// Two running mail servers in a row with a sink behind the second.
pub trait Chain: Entrance {
    /// The process at the root of each side: the one that accepts, the one that delivers.
    fn roots(&self) -> [u32; 2];
    /// What the chain measured about its own stages, a line each.
    fn stages(&self) -> Vec<String> {
        Vec::new()
    }
}

impl dyn Chain {
    /// Waits until nothing is left to do in the chain.
    pub fn settle(&self) {
        let deadline = Instant::now() + ROUND_MAX;
        while self.unfinished() > 0 {
            let left = self.unfinished();
            assert!(Instant::now() < deadline, "{left} messages never finished:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Which mail servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Postfix → Postfix.
    Postfix,
    /// Gateway → overlay → gateway.
    Gateway,
}

impl Kind {
    /// Starts a chain in front of the sink at `deliver`, in `ground`. `counted` puts both sides behind strace, which
    /// writes their syncs into `first.syncs` and `second.syncs` in that folder.
    pub fn start(self, ground: &Path, deliver: SocketAddr, counted: Option<&Path>) -> Box<dyn Chain> {
        match self {
            Self::Postfix => Box::new(PostfixPair::start(ground, deliver, counted)),
            Self::Gateway => Box::new(GatewayPair::start(deliver, counted)),
        }
    }

    /// Starts the first half of a chain, in `ground`: it keeps what it takes, because the second is away.
    pub fn start_alone(self, ground: &Path) -> Box<dyn Entrance> {
        match self {
            Self::Postfix => Box::new(PostfixAlone::start(ground)),
            Self::Gateway => Box::new(GatewayAlone::start()),
        }
    }

    /// The word on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Gateway => "gateway",
        }
    }

    /// The chain of that word.
    pub fn parse(word: &str) -> Result<Self, String> {
        let all = [Self::Postfix, Self::Gateway];
        all.into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(format!("{word:?} is neither postfix nor gateway"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postfix => "Postfix → Postfix",
            Self::Gateway => "gateway → gateway",
        })
    }
}
