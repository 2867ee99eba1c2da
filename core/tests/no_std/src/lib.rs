//! Proves that the core and all of its dependencies work without `std`. If one of them used `std`,
//! this crate would not compile, because `std` has a panic handler and so does this crate.
//!
//! It is built, but never run.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

pub use async_caches_core as caches;

#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

struct Empty;

#[global_allocator]
static EMPTY: Empty = Empty;

// SAFETY: no memory is ever handed out, so none can be misused.
unsafe impl GlobalAlloc for Empty {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
