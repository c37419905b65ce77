//! Tasks of one event loop that wait for the same fetch. Its end reaches the loop once, and the tasks go on a
//! few at a time: a thousand that went on at once would hold up everything else on that loop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use pyo3::intern;
use pyo3::prelude::*;

use crate::error::Error;
use crate::process::PerProcess;
use crate::python::client::Entry;
use crate::python::convert::raised;
use crate::python::event_loop;
use crate::refreshing::{Outcome, Ticket};

/// How many tasks go on before the event loop looks at everything else again: well under a millisecond.
const AT_ONCE: usize = 64;

/// The crowds of one client.
#[derive(Default)]
pub struct Crowds(PerProcess<Mutex<Vec<Weak<Crowd>>>>);

struct Crowd {
    event_loop: Py<PyAny>,
    ticket: Ticket,
    outcome: OnceLock<Outcome>,
    /// Futures of that loop: added and taken on its thread only.
    waiting: Mutex<VecDeque<Py<PyAny>>>,
}

impl Crowds {
    /// A future of the running event loop for what the ticket brings: an `Entry`, or None if whoever fetched
    /// went away.
    pub fn join<'py>(&self, py: Python<'py>, ticket: Ticket) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = pyo3_async_runtimes::get_running_loop(py)?;
        let place = event_loop.call_method0(intern!(py, "create_future"))?;
        if let Some(crowd) = self.present(&event_loop, &ticket) {
            locked(&crowd.waiting).push_back(place.clone().unbind());
            return Ok(place);
        }
        let crowd = Arc::new(Crowd {
            event_loop: event_loop.unbind(),
            ticket: ticket.clone(),
            outcome: OnceLock::new(),
            waiting: Mutex::new(VecDeque::from([place.clone().unbind()])),
        });
        let arriving = Arc::clone(&crowd);
        let arrival = event_loop::awaitable(py, async move {
            let outcome = ticket.outcome().await;
            // Set once: here.
            let _ = arriving.outcome.set(outcome);
            Ok(())
        })?;
        // Before anybody can find the crowd, so that nobody waits for what never comes.
        let release = Bound::new(py, Release(Arc::clone(&crowd)))?;
        arrival.call_method1(intern!(py, "add_done_callback"), (release,))?;
        self.add(&crowd);
        Ok(place)
    }

    fn present(&self, event_loop: &Bound<'_, PyAny>, ticket: &Ticket) -> Option<Arc<Crowd>> {
        // Out of the lock first: this may come to be the last to hold a crowd, and with it what runs Python when it goes.
        let crowds: Vec<_> = locked(self.0.get_or_init(Mutex::default))
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        crowds.into_iter().find(|crowd| {
            crowd.event_loop.is(event_loop)
                && crowd.ticket.waits_like(ticket)
                && crowd.outcome.get().is_none()
        })
    }

    fn add(&self, crowd: &Arc<Crowd>) {
        let mut crowds = locked(self.0.get_or_init(Mutex::default));
        // A crowd goes with its loop's last reference to it, also where that loop was closed meanwhile.
        crowds.retain(|crowd| crowd.strong_count() > 0);
        crowds.push(Arc::downgrade(crowd));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called on the event loop when the fetch has ended, and again until nobody waits any more.
#[pyclass(frozen, name = "_Release", module = "pgiam._core")]
struct Release(Arc<Crowd>);

#[pymethods]
impl Release {
    #[pyo3(signature = (arrival=None))]
    fn __call__(slf: &Bound<'_, Self>, arrival: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let crowd = &slf.get().0;
        if let Some(arrival) = arrival {
            crowd.settle(arrival);
        }
        let told = crowd.some_go_on(py);
        // Also after an error: the others still wait.
        if !locked(&crowd.waiting).is_empty() {
            let event_loop = crowd.event_loop.bind(py);
            event_loop.call_method1(intern!(py, "call_soon"), (slf,))?;
        }
        told
    }
}

impl Crowd {
    fn settle(&self, arrival: &Bound<'_, PyAny>) {
        if let Err(error) = arrival.call_method0(intern!(arrival.py(), "result")) {
            let error = Error::transport(
                "waiting for credentials ended with an error of pgiam's own",
                "Please report it, with its __cause__.",
            )
            .with_cause(error);
            self.outcome.get_or_init(|| Outcome::Failed(error));
        }
    }

    fn some_go_on(&self, py: Python<'_>) -> PyResult<()> {
        for _ in 0..AT_ONCE {
            // Out of the lock: Python runs in `tell`.
            let next = locked(&self.waiting).pop_front();
            match next {
                Some(place) => self.tell(place.bind(py))?,
                None => break,
            }
        }
        Ok(())
    }

    /// Each gets an exception of its own: one that is raised in many tasks gathers the tracebacks of all.
    fn tell(&self, place: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = place.py();
        // Whoever was cancelled waits no more.
        if place.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        let told = match self.outcome.get() {
            Some(Outcome::Ready(entry)) => {
                let inner = Arc::clone(entry);
                place.call_method1(intern!(py, "set_result"), (Entry { inner },))
            }
            Some(Outcome::Failed(error)) => {
                let error = raised(error.clone()).into_value(py);
                place.call_method1(intern!(py, "set_exception"), (error,))
            }
            Some(Outcome::Abandoned) | None => place.call_method1(intern!(py, "set_result"), (py.None(),)),
        };
        told.map(drop)
    }
}
