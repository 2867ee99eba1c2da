//! How large the parts of an envelope may be.

/// The most tags that an entry has.
pub const MAX_TAGS: usize = 16;

/// The longest name of a tag in bytes: its length stands in one byte.
pub const MAX_TAG_LEN: usize = u8::MAX as usize;

/// The longest validator in bytes.
pub const MAX_VALIDATOR_LEN: usize = 1_024;
