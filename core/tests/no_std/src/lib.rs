//! Proves that the core and all that it depends on need no `std`: this compiles only as long as
//! none of them brings one, since `std` has a panic handler and so does this.
//!
//! It is built, never run.

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
