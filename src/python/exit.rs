//! The end of the interpreter. Until Python 3.14 a thread that asks for the GIL while the interpreter shuts
//! down is ended by `pthread_exit`, which must not unwind through Rust. So from `atexit` on, no thread but
//! the one that runs the exit asks any more, and the exit waits for those that were in Python by then:
//! whoever has given up the GIL within a call of Python's would ask for it again.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;

use crate::process::PerProcess;

/// Calls into Python from our threads are short: they hand over a result, or log a line.
const LAST_CALLS: Duration = Duration::from_secs(5);

static CLOSING: OnceLock<ThreadId> = OnceLock::new();
pub fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let closing = wrap_pyfunction!(closing, module)?;
    module
        .py()
        .import("atexit")?
        .call_method1("register", (closing,))?;
    Ok(())
}

#[pyfunction]
fn closing(py: Python<'_>) {
    let _ = CLOSING.set(thread::current().id());
    py.detach(|| {
        let visitors = VISITORS.get_or_init(Visitors::default);
        let inside = visitors.inside.lock().unwrap_or_else(PoisonError::into_inner);
        // After that time it is a thread of the program's own that holds them up.
        let _ = visitors
            .left
            .wait_timeout_while(inside, LAST_CALLS, |inside| *inside > 0);
    });
}

/// Our threads that are in Python now. A forked child has none of its parent's.
static VISITORS: PerProcess<Visitors> = PerProcess::new();

#[derive(Default)]
struct Visitors {
    inside: Mutex<usize>,
    left: Condvar,
}

impl Visitors {
    fn count(&self, change: fn(&mut usize)) {
        change(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Runs what needs the GIL on a thread of ours; not at all once the interpreter is closing.
pub fn visit<R>(work: impl FnOnce() -> R) -> Option<R> {
    struct Leaving<'a>(&'a Visitors);
    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            self.0.count(|inside| *inside -= 1);
            self.0.left.notify_all();
        }
    }
    let visitors = VISITORS.get_or_init(Visitors::default);
    visitors.count(|inside| *inside += 1);
    let _leaving = Leaving(visitors);
    // Only now: whoever closes sets the mark before it counts.
    (!must_stay_away()).then(work)
}

/// True on every thread but the one that runs the exit.
fn must_stay_away() -> bool {
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
