//! Locks that a panic elsewhere does not poison: no code of a user ever runs under one of ours, so
//! what they guard is whole whenever they are free.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
