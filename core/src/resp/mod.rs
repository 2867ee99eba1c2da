//! The wire: RESP2 and RESP3.
//!
//! Bytes that a server sent go through these rooms in this order, and no later room sees bytes
//! that an earlier one refused:
//!
//! | module | duty |
//! |---|---|
//! | [`kind`] | the fifteen kinds of frame and what they are called |
//! | [`scan`], `glance` | where the first frame ends: resumable, strict, under limits |
//! | [`decode`] | what a complete frame holds, without copying more than it keeps |
//! | [`answer`] | a reply read as the typed answer to the command that asked |
//! | [`encode`], [`output`] | the other way: commands written into a row of bytes to be sent |
//!
//! Nothing here knows a connection, a tag or the time.

pub mod answer;
pub mod decode;
pub mod encode;
mod glance;
pub mod kind;
pub mod output;
pub mod scan;
