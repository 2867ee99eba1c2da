//! The programs beside this crate's `src` are examples, one idea each: `quickstart`,
//! `neutral_library`, `custom_loop` and `web`. Run one with `cargo run --example quickstart`.
//!
//! The crate itself holds nothing but the README, whose code is compiled and run as doctests.

/// The README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
