//! The overlay seen from outside: two real nodes on loopback, and nodes that mean ill.

mod bodies;
mod fixture;
mod heads;
mod hostile;
mod hostile_bodies;
mod hostile_questions;
mod post_quantum;
mod questions;
mod two_nodes;
