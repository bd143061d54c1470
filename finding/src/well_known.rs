//! The page `/.well-known/dccp.json`: where a domain says who it is.
//!
//! ```json
//! {"v": "DCCP1", "did": "did:dccp:1…", "nodes": ["/dns4/…/tcp/4600/p2p/…"], "mirror": "https://…", "succession": "…"}
//! ```
//!
//! Nothing in it is believed: it says where to look and what to verify. That is why members of later versions may be
//! ignored here, while the signed records it leads to refuse what they do not know.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dccp::Did;
use dccp::limits::{NODE_ADDRESS_BYTES_MAX, PARTNER_NODES_MAX};
use serde::{Deserialize, Serialize};

use crate::mirror::{BadMirror, Mirror};

/// Where the page is (RFC 8615).
pub const WELL_KNOWN_PATH: &str = "/.well-known/dccp.json";
/// The whole page in octets: a page with all that it may hold has about 20 kB.
pub const WELL_KNOWN_BYTES_MAX: usize = 64 * 1024;

const VERSION: &str = "DCCP1";

/// The page, its members well formed and within their bounds; none of it verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellKnown {
    /// The organisation that the domain names.
    pub did: Did,
    /// Addresses of its nodes as multiaddrs with `/p2p/`, for the first contact; the signed node records count.
    pub nodes: Vec<String>,
    /// The server that keeps its records; none: the one that served the page.
    pub mirror: Option<Mirror>,
    /// A signed succession notice, while the domain changes from one DID to another.
    pub succession: Option<Vec<u8>>,
}

impl WellKnown {
    /// Reads a page: strict JSON (RFC 8259), no member twice. Members that are not listed above are ignored.
    ///
    /// # Errors
    /// Any [`BadWellKnown`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, BadWellKnown> {
        if bytes.len() > WELL_KNOWN_BYTES_MAX {
            return Err(BadWellKnown::TooLarge);
        }
        let page: Page =
            serde_json::from_slice(bytes).map_err(|error| BadWellKnown::Json(error.to_string()))?;
        if page.v != VERSION {
            return Err(BadWellKnown::Version);
        }
        if page.nodes.len() > PARTNER_NODES_MAX || !page.nodes.iter().all(|node| is_address(node)) {
            return Err(BadWellKnown::Nodes);
        }
        let succession = page.succession.map(|notice| URL_SAFE_NO_PAD.decode(notice));
        Ok(Self {
            did: page.did.parse().map_err(|_| BadWellKnown::Did)?,
            nodes: page.nodes,
            mirror: page.mirror.as_deref().map(Mirror::parse).transpose()?,
            succession: succession.transpose().map_err(|_| BadWellKnown::Succession)?,
        })
    }

    /// The page as it is served.
    pub fn to_json(&self) -> Vec<u8> {
        let page = Page {
            v: VERSION.to_owned(),
            did: self.did.to_string(),
            nodes: self.nodes.clone(),
            mirror: self.mirror.as_ref().map(Mirror::to_string),
            succession: self.succession.as_ref().map(|notice| URL_SAFE_NO_PAD.encode(notice)),
        };
        // A struct of strings always serialises.
        serde_json::to_vec(&page).unwrap_or_default()
    }
}

/// Only what a node record may hold as well: visible ASCII, and the id of the node at its end.
fn is_address(text: &str) -> bool {
    text.len() <= NODE_ADDRESS_BYTES_MAX
        && text.bytes().all(|octet| octet.is_ascii_graphic())
        && text.starts_with('/')
        && text.contains("/p2p/")
}

#[derive(Serialize, Deserialize)]
struct Page {
    v: String,
    did: String,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirror: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succession: Option<String>,
}

/// Why a page is not accepted. All of it is the fault of whoever serves it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWellKnown {
    /// Larger than any page.
    #[error("larger than {WELL_KNOWN_BYTES_MAX} octets")]
    TooLarge,
    /// Not JSON, a member missing, twice or of the wrong type.
    #[error("not the JSON it should be: {0}")]
    Json(String),
    /// A later version of the protocol, or none.
    #[error("`v` is not {VERSION}")]
    Version,
    /// No DID of ours.
    #[error("`did` is not a did:dccp")]
    Did,
    /// Too many node addresses, or one that is none.
    #[error("`nodes` holds more than {PARTNER_NODES_MAX} addresses, or one that is no multiaddr with /p2p/")]
    Nodes,
    /// The mirror is not a place that may be asked.
    #[error("`mirror`: {0}")]
    Mirror(#[from] BadMirror),
    /// Not base64url.
    #[error("`succession` is not base64url without padding")]
    Succession,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn a_page_that_was_written_is_read_again() {
        let page = WellKnown {
            did: DID.parse().expect("a DID"),
            nodes: vec!["/ip4/192.0.2.1/udp/4600/quic-v1/p2p/12D3Koo".into()],
            mirror: Some(Mirror::parse("https://mirror.globex.test:8443").expect("a mirror")),
            succession: Some(vec![1, 2, 255]),
        };
        assert_eq!(WellKnown::from_json(&page.to_json()), Ok(page));
    }

    #[test]
    fn members_of_later_versions_are_ignored() {
        let page = format!(r#"{{"v":"DCCP1","did":"{DID}","nodes":[],"motto":{{"a":[1]}}}}"#);
        assert_eq!(WellKnown::from_json(page.as_bytes()).expect("a page").did.as_str(), DID);
    }

    #[test]
    fn a_page_of_one_octet_too_many_is_refused_unread() {
        let page = format!(r#"{{"v":"DCCP1","did":"{DID}"}}"#);
        let padded = format!("{page}{}", " ".repeat(WELL_KNOWN_BYTES_MAX - page.len()));
        assert!(WellKnown::from_json(padded.as_bytes()).is_ok());
        assert_eq!(WellKnown::from_json(format!("{padded} ").as_bytes()), Err(BadWellKnown::TooLarge));
    }

    #[test]
    fn what_is_not_the_page_is_refused_by_name() {
        let with = |members: &str| format!(r#"{{"v":"DCCP1","did":"{DID}"{members}}}"#);
        let many = vec![r#""/ip4/1.1.1.1/p2p/x""#; PARTNER_NODES_MAX + 1].join(",");
        for (page, why) in [
            (r#"{"v":"DCCP2","did":"x"}"#.to_owned(), BadWellKnown::Version),
            (r#"{"v":"DCCP1","did":"did:web:globex.test"}"#.to_owned(), BadWellKnown::Did),
            (with(&format!(r#","nodes":[{many}]"#)), BadWellKnown::Nodes),
            (with(r#","nodes":["/ip4/1.1.1.1/tcp/1"]"#), BadWellKnown::Nodes),
            (with(r#","nodes":["/ip4/ 1/p2p/x"]"#), BadWellKnown::Nodes),
            (with(r#","mirror":"http://globex.test""#), BadWellKnown::Mirror(BadMirror::NotHttps)),
            (with(r#","succession":"a+b=""#), BadWellKnown::Succession),
        ] {
            assert_eq!(WellKnown::from_json(page.as_bytes()), Err(why), "{page}");
        }
        let doubled = with(&format!(r#","did":"{DID}""#));
        let nested = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        for page in [
            "<html></html>",
            "",
            "null",
            r#"{"v":"DCCP1"}"#,
            "{\"v\":\"DCCP1\",\"did\":1}",
            &doubled,
            &nested,
        ] {
            assert!(
                matches!(WellKnown::from_json(page.as_bytes()), Err(BadWellKnown::Json(_))),
                "{page:.40}"
            );
        }
        assert!(matches!(
            WellKnown::from_json(format!("{} x", with("")).as_bytes()),
            Err(BadWellKnown::Json(_))
        ));
    }
}
