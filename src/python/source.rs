//! A Python callable as a source of credentials. Python runs it (`pgiam._callable`); the core only waits.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::chain;
use crate::clock::Time;
use crate::credentials::{self, Caller, Constant, Failure, Fetch, Source};
use crate::error::{Error, Kind, Result};
use crate::python::convert::{raised, wrong_type};
use crate::python::exit;
use crate::python::types::{Credentials, Profile};
use crate::refreshing::Observer;
use crate::runtime;

type Answer = std::result::Result<credentials::Credentials, Failure>;

/// What `pgiam.Client` was given.
pub fn from_python(source: Option<&Bound<'_, PyAny>>) -> Result<Arc<dyn Source>> {
    let Some(source) = source.filter(|source| !source.is_none()) else {
        return Ok(Arc::new(chain::Chain::new()));
    };
    if let Ok(credentials) = source.cast::<Credentials>() {
        return Ok(Arc::new(Constant(credentials.get().inner.clone())));
    }
    if let Ok(profile) = source.cast::<Profile>() {
        return Ok(Arc::new(chain::Profile {
            name: profile.get().name.clone(),
        }));
    }
    if source.is_callable() && !source.is_instance_of::<pyo3::types::PyType>() {
        return Callable::new(source)
            .map(|callable| Arc::new(callable) as _)
            .map_err(rejection);
    }
    Err(wrong_type(source, "source", "a pgiam source or a callable"))
}

struct Callable {
    function: Py<PyAny>,
    /// Looked up now, because an import under way in one thread hangs a child forked by another: the
    /// child inherits the module's lock, and not the thread that would release it.
    start: Py<PyAny>,
}

impl Callable {
    fn new(function: &Bound<'_, PyAny>) -> PyResult<Self> {
        let module = function.py().import("pgiam._callable")?;
        module.call_method1("prepare", (function,))?;
        Ok(Self {
            function: function.clone().unbind(),
            start: module.getattr("start")?.unbind(),
        })
    }
}

impl Source for Callable {
    fn fetch(&self, caller: Caller) -> Fetch {
        let (sender, receiver) = oneshot::channel::<Answer>();
        let started = Python::attach(|py| {
            let resolver = Bound::new(py, Resolver(Mutex::new(Some(sender))))?;
            let on_loop = caller == Caller::EventLoop;
            self.start.call1(py, (&self.function, resolver, on_loop))
        });
        if let Err(error) = started {
            return Box::pin(std::future::ready(Err(rejection(error).into())));
        }
        Box::pin(async move { receiver.await.unwrap_or(Err(Failure::Abandoned)) })
    }
}

/// Takes the one answer of one call. Dropped without one, the call counts as abandoned.
#[pyclass(frozen, name = "_Resolver", module = "pgiam._core")]
pub struct Resolver(Mutex<Option<oneshot::Sender<Answer>>>);

#[pymethods]
impl Resolver {
    fn resolve(&self, credentials: &Bound<'_, Credentials>) {
        self.answer(Ok(credentials.get().inner.clone()));
    }

    fn reject(&self, error: Bound<'_, PyAny>) {
        self.answer(Err(rejection(PyErr::from_value(error)).into()));
    }

    fn abandon(&self) {
        self.answer(Err(Failure::Abandoned));
    }
}

impl Resolver {
    fn answer(&self, answer: Answer) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more if the fetch took too long.
            let _ = sender.send(answer);
        }
    }
}

/// The exception itself is kept as the cause: its text is its author's, and may hold anything.
fn rejection(error: PyErr) -> Error {
    let name = Python::attach(|py| error.get_type(py).name().map(|name| name.to_string()));
    let name = name.unwrap_or_else(|_| "an exception".to_owned());
    Error::new(
        Kind::Credentials,
        format!("the credential source raised {name}"),
        "The exception is this one's __cause__; pgiam calls the source again at the next use.",
    )
    .with_cause(error)
}

/// Writes to the logger `pgiam`.
pub struct Logger;

impl Observer for Logger {
    fn early_refresh_failed(&self, error: &Error, valid_until: Option<Time>) {
        let error = error.clone();
        let end = valid_until.map(|end| end.to_string());
        let Ok(handle) = runtime::handle() else { return };
        handle.spawn_blocking(move || {
            if exit::must_stay_away() {
                return;
            }
            Python::try_attach(|py| {
                let written = py
                    .import("pgiam._log")
                    .and_then(|log| log.call_method1("early_refresh_failed", (raised(error), end)));
                if let Err(failed) = written {
                    failed.write_unraisable(py, None);
                }
            });
        });
    }
}
