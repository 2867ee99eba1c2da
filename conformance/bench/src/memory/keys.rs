//! The keys: texts of 20 bytes, one for each id, which are created once and live as long as the
//! program.
//!
//! They lie in one block in the order of their ids, so that reading a key takes one memory access.

/// The keys of the ids below some number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    block: &'static str,
}

impl Keys {
    /// Creates the keys of this many ids.
    pub(crate) fn new(count: u32) -> Self {
        let block: String = (0..count).map(|id| format!("user:{id:010}:name")).collect();
        Self { block: block.leak() }
    }

    /// The key of an id.
    pub(crate) fn of(self, id: u32) -> &'static str {
        let at = id as usize * LEN;
        &self.block[at..at + LEN]
    }
}

/// The number of bytes of a key.
const LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_distinct_key() {
        let keys = Keys::new(3);
        assert_eq!(
            [0, 1, 2].map(|id| keys.of(id)),
            ["user:0000000000:name", "user:0000000001:name", "user:0000000002:name"]
        );
    }
}
