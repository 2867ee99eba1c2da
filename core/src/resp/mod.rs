//! The wire: RESP2 and RESP3, by hand where every reply passes, by `redis-protocol` where few do.
//!
//! Bytes that a server sent go through these rooms in this order, and no later room sees bytes
//! that an earlier one refused:
//!
//! | module | duty |
//! |---|---|
//! | [`kind`] | the fifteen kinds of frame and what they are called |
//! | [`scan`] | where the first frame ends: resumable, strict, under limits |
//! | [`decode`] | what a complete frame holds, without copying more than it keeps |
//! | [`answer`] | a reply read as the typed answer to the command that asked |
//! | [`encode`] | the other way: commands written into a send buffer |
//!
//! Nothing here knows a connection, a tag or the time.

pub mod answer;
pub mod decode;
pub mod encode;
pub mod kind;
pub mod scan;
