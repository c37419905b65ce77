//! State that belongs to one process. A forked child inherits memory but no threads and no right to the
//! parent's sockets, and a lock may have been held by a thread that it does not have. So whatever has
//! threads, sockets or locks lives in a `PerProcess`: the child starts with a new one and never touches,
//! not even to drop it, what it inherited.

#![expect(unsafe_code, reason = "a pointer that is swapped without a lock")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

pub struct PerProcess<T> {
    slot: AtomicPtr<Slot<T>>,
}

struct Slot<T> {
    process: u32,
    value: OnceLock<T>,
}

impl<T> PerProcess<T> {
    pub const fn new() -> Self {
        Self {
            slot: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// This process's value, made on first use.
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        self.slot().value.get_or_init(init)
    }

    /// This process's value, if it has been made.
    pub fn get(&self) -> Option<&T> {
        self.slot().value.get()
    }

    fn slot(&self) -> &Slot<T> {
        let process = std::process::id();
        let mut current = self.slot.load(Ordering::Acquire);
        loop {
            // SAFETY: a slot, once published, is freed only by `drop`, which has `&mut self`.
            if let Some(slot) = unsafe { current.as_ref() }
                && slot.process == process
            {
                return slot;
            }
            let new = Box::into_raw(Box::new(Slot {
                process,
                value: OnceLock::new(),
            }));
            match self
                .slot
                .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            {
                // The parent's slot is left alone: dropping it could wait for threads that are not here.
                // SAFETY: `new` was published just now, see above.
                Ok(_) => return unsafe { &*new },
                Err(winner) => {
                    // SAFETY: `new` was never published.
                    drop(unsafe { Box::from_raw(new) });
                    current = winner;
                }
            }
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = *self.slot.get_mut();
        // SAFETY: a non-null pointer is a published slot, and nobody else can hold it now.
        if let Some(own) = unsafe { slot.as_ref() }
            && own.process == std::process::id()
        {
            // SAFETY: as above; it came from `Box::into_raw`.
            drop(unsafe { Box::from_raw(slot) });
        }
    }
}

// SAFETY: the pointer owns a `Slot<T>`, which is shared between threads by reference and dropped on any.
unsafe impl<T: Send + Sync> Send for PerProcess<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn is_made_once_and_dropped_once() {
        let cell = PerProcess::new();
        let value = Arc::new(());
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| cell.get_or_init(|| Arc::clone(&value)));
            }
        });
        assert_eq!(Arc::strong_count(&value), 2);
        drop(cell);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
