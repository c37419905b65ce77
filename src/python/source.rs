//! A Python callable as a source of credentials. Python runs it (`pgiam._callable`); the core only waits.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::ambient::Ambient;
use crate::chain;
use crate::clock::Time;
use crate::credentials::{self, Caller, Constant, Failure, Fetch, Finding, Source, State};
use crate::error::{Error, Kind, Result};
use crate::fork;
use crate::identity_token::IdentityToken;
use crate::python::convert::{raised, wrong_type};
use crate::python::exit;
use crate::python::roles::{AssumeRole, WebIdentity};
use crate::python::types::{Credentials, Profile};
use crate::refreshing::Observer;
use crate::runtime;
use crate::secret::Secret;

/// What `pgiam.Client` was given.
pub fn from_python(source: Option<&Bound<'_, PyAny>>) -> Result<Arc<dyn Source>> {
    let Some(source) = source.filter(|source| !source.is_none()) else {
        return Ok(Arc::new(Ambient::new()));
    };
    if let Ok(credentials) = source.cast::<Credentials>() {
        return Ok(Arc::new(Constant(credentials.get().inner.clone())));
    }
    if let Ok(profile) = source.cast::<Profile>() {
        return Ok(Arc::new(chain::Profile {
            name: profile.get().name.clone(),
        }));
    }
    if let Ok(web_identity) = source.cast::<WebIdentity>() {
        return Ok(Arc::clone(&web_identity.get().source));
    }
    if let Ok(role) = source.cast::<AssumeRole>() {
        return Ok(Arc::clone(&role.get().source));
    }
    if source.is_callable() && !source.is_instance_of::<pyo3::types::PyType>() {
        return Callable::new(source)
            .map(|callable| Arc::new(callable) as _)
            .map_err(|error| rejection(Kind::Credentials, error));
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
        let (sender, receiver) = oneshot::channel();
        let started = Python::attach(|py| {
            let resolver = Bound::new(py, Resolver(Mutex::new(Some(Waiting::Credentials(sender)))))?;
            let on_loop = caller == Caller::EventLoop;
            self.start.call1(py, (&self.function, resolver, on_loop))
        });
        if let Err(error) = started {
            return Box::pin(std::future::ready(
                Err(rejection(Kind::Credentials, error).into()),
            ));
        }
        Box::pin(async move { receiver.await.unwrap_or(Err(Failure::Abandoned)) })
    }

    fn explain(&self) -> Vec<Finding> {
        vec![Finding::new("callable", State::Taken, "given to the client")]
    }
}

/// Who waits for the answer, and for what kind of one.
enum Waiting {
    Credentials(oneshot::Sender<std::result::Result<credentials::Credentials, Failure>>),
    IdentityToken(oneshot::Sender<std::result::Result<IdentityToken, Failure>>),
}

impl Waiting {
    fn kind(&self) -> Kind {
        match self {
            Waiting::Credentials(_) => Kind::Credentials,
            Waiting::IdentityToken(_) => Kind::IdentityToken,
        }
    }

    /// Nobody waits any more if the fetch took too long: then the answer goes nowhere.
    fn fail(self, failure: Failure) {
        match self {
            Waiting::Credentials(sender) => drop(sender.send(Err(failure))),
            Waiting::IdentityToken(sender) => drop(sender.send(Err(failure))),
        }
    }
}

/// Takes the one answer of one call. Dropped without one, the call counts as abandoned.
#[pyclass(frozen, name = "_Resolver", module = "pgiam._core")]
pub struct Resolver(Mutex<Option<Waiting>>);

#[pymethods]
impl Resolver {
    /// `answer` is what `pgiam._callable` has made of the callable's: Credentials, or the text of a token.
    fn resolve(&self, answer: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.take() {
            Some(Waiting::Credentials(sender)) => {
                let credentials = answer.cast::<Credentials>()?.get().inner.clone();
                drop(sender.send(Ok(credentials)));
            }
            Some(Waiting::IdentityToken(sender)) => {
                let text = Secret::from(answer.extract::<&str>()?);
                let token = IdentityToken::parse(text, "the callable");
                drop(sender.send(token.map_err(Failure::from)));
            }
            None => {}
        }
        Ok(())
    }

    fn reject(&self, error: Bound<'_, PyAny>) {
        if let Some(waiting) = self.take() {
            let error = rejection(waiting.kind(), PyErr::from_value(error));
            waiting.fail(error.into());
        }
    }

    fn abandon(&self) {
        if let Some(waiting) = self.take() {
            waiting.fail(Failure::Abandoned);
        }
    }
}

impl Resolver {
    pub fn for_identity_token(sender: oneshot::Sender<std::result::Result<IdentityToken, Failure>>) -> Self {
        Self(Mutex::new(Some(Waiting::IdentityToken(sender))))
    }

    fn take(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The exception itself is kept as the cause: its text is its author's, and may hold anything.
pub fn rejection(kind: Kind, error: PyErr) -> Error {
    let name = Python::attach(|py| error.get_type(py).name().map(|name| name.to_string()));
    let name = name.unwrap_or_else(|_| "an exception".to_owned());
    let source = match kind {
        Kind::IdentityToken => "the source of the identity token",
        _ => "the credential source",
    };
    Error::new(
        kind,
        format!("{source} raised {name}"),
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
            exit::visit(|| {
                // A child would wait for an import under way; what handlers do with the line is theirs.
                let step = fork::Step::begin();
                Python::try_attach(|py| {
                    let log = py.import("pgiam._log");
                    drop(step);
                    let written =
                        log.and_then(|log| log.call_method1("early_refresh_failed", (raised(error), end)));
                    if let Err(failed) = written {
                        failed.write_unraisable(py, None);
                    }
                });
            });
        });
    }
}
