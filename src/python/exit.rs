//! The end of the interpreter. Until Python 3.14 a thread that asks for the GIL while the interpreter shuts
//! down is ended by `pthread_exit`, which must not unwind through Rust. So from `atexit` on, no thread but
//! the one that runs the exit asks any more.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ThreadId};

use pyo3::prelude::*;

static CLOSING: OnceLock<ThreadId> = OnceLock::new();
/// The process that has registered; a forked child inherits its parent's registrations.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

pub fn watch(py: Python<'_>) -> PyResult<()> {
    if REGISTERED.swap(1, Ordering::AcqRel) == 0 {
        let closing = py.import("pgiam._core")?.getattr("_closing")?;
        py.import("atexit")?.call_method1("register", (closing,))?;
        // Needed by threads later on, and better imported before there are any: see `source::Callable`.
        py.import("pgiam._log")?;
    }
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_closing")]
pub fn closing() {
    let _ = CLOSING.set(thread::current().id());
}

/// True on every thread but the one that runs the exit.
pub fn must_stay_away() -> bool {
    CLOSING
        .get()
        .is_some_and(|thread| *thread != thread::current().id())
}

/// Never returns on a thread that must not ask for the GIL again. The process ends without it.
pub fn stay_away_if_closing() {
    while must_stay_away() {
        thread::park();
    }
}
