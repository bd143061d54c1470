//! The receiving side over real sockets: what a client sees, and what the house is asked.

mod bad_input;
mod chunking;
mod client;
mod garbage;
mod house;
mod limits;
mod pipelining;
mod proxy;
mod shutdown;
mod smuggling;
mod sources;
mod submission;
mod tls;
