//! The cases: one function each, named by the sentence that must hold.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the cache's errors are another crate's, and grow"
)]

pub mod addresses;
pub mod clear;
pub mod clocks;
pub mod cluster;
pub mod compare;
pub mod counters;
pub mod drops;
pub mod dummy;
pub mod extremes;
pub mod faults;
pub mod forms;
pub mod greetings;
pub mod guarded;
pub mod hostile;
pub mod info;
pub mod keys;
pub mod lifecycle;
pub mod load;
pub mod loaded;
pub mod locmem;
pub mod many;
pub mod numbers;
mod ops;
pub mod options;
pub mod outages;
pub mod owned;
pub mod poison;
pub mod pushes;
pub mod recorder;
pub mod redirects;
pub mod refusals;
pub mod resharding;
pub mod rotation;
pub mod sentinel;
pub mod server;
pub mod stats;
pub mod timeouts;
pub mod tls;
pub mod turns;
pub mod unreadable;
pub mod values;
pub mod views;
pub mod waits;
pub mod wire;
