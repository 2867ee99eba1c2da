//! Locks that a panic elsewhere does not poison. No code of a user ever runs under one of ours, so
//! the guarded data is whole whenever the lock is free.

use std::sync::{MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use std::sync::{Condvar, Mutex};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits while `holds` returns true, for `span` at most if one is given.
pub(crate) fn wait<'a, T>(
    wake: &Condvar,
    guard: MutexGuard<'a, T>,
    span: Option<Duration>,
    holds: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    match span {
        None => wake.wait_while(guard, holds).unwrap_or_else(PoisonError::into_inner),
        Some(span) => {
            wake.wait_timeout_while(guard, span, holds).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}
