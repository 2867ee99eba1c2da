//! The wire: RESP2 and RESP3.
//!
//! Bytes from a server pass through these modules in this order, and no later module sees bytes
//! that an earlier one refused:
//!
//! | module | duty |
//! |---|---|
//! | [`kind`] | the fifteen kinds of frame and their names |
//! | [`scan`], `glance` | finds the end of the first frame: resumable, strict, under limits |
//! | [`decode`] | reads a complete frame, and copies no more than is kept |
//! | [`answer`] | turns a reply into the typed answer to its command |
//! | [`encode`], [`output`] | the other direction: encodes commands into the bytes to send |
//!
//! Nothing here knows about connections, tags or the time.

pub mod answer;
pub mod decode;
pub mod encode;
mod glance;
pub mod kind;
pub mod limits;
pub mod output;
pub mod scan;

#[cfg(test)]
mod tests;
