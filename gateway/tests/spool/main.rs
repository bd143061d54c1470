//! The promises of the spool.

mod archive;
mod claims;
mod crash;
mod due;
mod files;
mod fixture;
mod full;
mod keeping;
mod large;
mod model;
mod moves;
mod orders;
mod outside;
mod receipts;
mod release;
mod shared;
