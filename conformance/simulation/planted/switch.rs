//! The switch of the bugs that are planted in this copy.
#![allow(missing_docs, reason = "each bug is described by its patch")]

use core::sync::atomic::{AtomicU8, Ordering};

/// A bug that is planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// No bug is active.
    None,
    // The bugs.
}

/// Whether this bug is active.
#[must_use]
pub fn is(bug: Bug) -> bool {
    ACTIVE.load(Ordering::Relaxed) == bug as u8
}

/// Activates a bug, in place of the one before.
pub fn activate(bug: Bug) {
    ACTIVE.store(bug as u8, Ordering::Relaxed);
}

static ACTIVE: AtomicU8 = AtomicU8::new(Bug::None as u8);

/// Whether the bug of this name is active.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is($crate::planted::Bug::$bug)
    };
}
