//! The program's allocator: the system's, with a count of its allocations.
//!
//! Nothing is counted until [`begin`] is called. Until then an allocation costs one relaxed load on
//! top of the system's, for all clients alike, and a release costs nothing extra.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::ways::Allocated;

/// Starts counting.
pub(crate) fn begin() {
    COUNTING.store(true, Relaxed);
}

/// The allocations of all threads since [`begin`].
pub(crate) fn so_far() -> Allocated {
    Allocated { allocations: COUNT.load(Relaxed), bytes: BYTES.load(Relaxed) }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[inline]
fn note(bytes: usize) {
    if COUNTING.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator, so a caller that keeps this
// contract keeps that one; `note` touches only atomics, and neither allocates nor panics.
#[allow(unsafe_code, reason = "a global allocator cannot be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.saturating_sub(layout.size()));
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_grown_blocks_are_counted_after_begin() {
        begin();
        let before = so_far();
        let mut block = Vec::<u8>::with_capacity(1000);
        block.reserve_exact(3000);
        let after = so_far();
        drop(block);
        // Other tests allocate at the same time.
        assert!(after.allocations >= before.allocations + 2);
        assert!(after.bytes >= before.bytes + 3000);
    }
}
