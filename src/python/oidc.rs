//! `pgiam.oidc`: where identity tokens come from, as Python sees it.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use tokio::sync::oneshot;

use crate::credentials::{Caller, Failure};
use crate::error::{Kind, Result};
use crate::identity_token::{Asking, Given, IdentitySource, IdentityToken, TokenFetch};
use crate::oidc::{self, Azure, Bitbucket, Buildkite, CircleCi, Fly, Gcp, GitLab, GithubActions};
use crate::oidc::{TerraformCloud, Variable, Vercel, WebIdentityFile, vercel};
use crate::python::blocking::blocked;
use crate::python::convert::{raised, text, wrong_type};
use crate::python::event_loop::{self, Converted};
use crate::python::exit;
use crate::python::source::{Resolver, rejection};
use crate::python::types::not_picklable;
use crate::secret::Secret;

type Any<'py> = Option<&'py Bound<'py, PyAny>>;

/// Where identity tokens come from: a platform, a file, a variable.
#[pyclass(frozen, name = "IdentitySource", module = "pgiam.oidc")]
pub struct Source {
    inner: Arc<dyn IdentitySource>,
}

impl Source {
    fn of<P: oidc::Platform>(platform: P) -> Self {
        Self {
            inner: Arc::new(oidc::From(platform)),
        }
    }
}

fn option(value: Any<'_>, name: &str) -> PyResult<Option<String>> {
    let given = text(value, name).map_err(raised)?;
    match given {
        Some(text) if text.is_empty() => Err(raised(crate::error::Error::configuration(
            format!("{name} is empty"),
            format!("Pass {name} with a value, or leave it out."),
        ))),
        given => Ok(given.map(|text| text.into_owned())),
    }
}

#[pymethods]
impl Source {
    #[staticmethod]
    fn _vercel() -> Self {
        Self {
            inner: Arc::new(Vercel),
        }
    }

    #[staticmethod]
    #[pyo3(signature = (audience))]
    fn _github_actions(audience: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(GithubActions::new(option(audience, "audience")?)))
    }

    #[staticmethod]
    #[pyo3(signature = (path))]
    fn _web_identity_file(path: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(WebIdentityFile::new(option(path, "path")?)))
    }

    #[staticmethod]
    fn _env(name: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self::of(Variable(
            option(Some(name), "name")?.unwrap_or_default(),
        )))
    }

    #[staticmethod]
    #[pyo3(signature = (name))]
    fn _gitlab(name: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(GitLab::new(option(name, "name")?)))
    }

    #[staticmethod]
    #[pyo3(signature = (audience))]
    fn _gcp(audience: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(Gcp::new(option(audience, "audience")?)))
    }

    #[staticmethod]
    #[pyo3(signature = (resource))]
    fn _azure(resource: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(Azure::new(option(resource, "resource")?)))
    }

    #[staticmethod]
    #[pyo3(signature = (audience))]
    fn _fly(audience: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(Fly::new(option(audience, "audience")?)))
    }

    #[staticmethod]
    fn _circleci() -> Self {
        Self::of(CircleCi)
    }

    #[staticmethod]
    fn _bitbucket() -> Self {
        Self::of(Bitbucket)
    }

    #[staticmethod]
    #[pyo3(signature = (audience))]
    fn _buildkite(audience: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(Buildkite::new(option(audience, "audience")?)))
    }

    #[staticmethod]
    #[pyo3(signature = (tag))]
    fn _terraform_cloud(tag: Any<'_>) -> PyResult<Self> {
        Ok(Self::of(TerraformCloud::new(option(tag, "tag")?.as_deref())))
    }

    #[getter]
    fn name(&self) -> String {
        self.inner.name()
    }

    /// A fresh identity token, as the platform issues it.
    fn fetch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let fetch = self.inner.begin(Caller::Thread).ask();
        let token = blocked(py, fetch)?.map_err(failed)?;
        Ok(PyString::new(py, token.reveal()))
    }

    /// As `fetch`, without blocking the event loop.
    fn fetch_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let fetch = self.inner.begin(Caller::EventLoop).ask();
        event_loop::awaitable(py, async move {
            let token = fetch.await.map_err(|failure| match failure {
                Failure::Failed(error) => error,
                Failure::Abandoned => abandoned(),
            });
            Ok(Converted(token.map(|token| token.reveal().to_owned())))
        })
    }

    fn __repr__(&self) -> String {
        format!("<pgiam.oidc.IdentitySource {}>", self.inner.name())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_picklable("oidc.IdentitySource"))
    }
}

fn abandoned() -> crate::error::Error {
    crate::error::Error::transport("the fetch of the identity token was broken off", "Try again.")
}

fn failed(failure: Failure) -> PyErr {
    raised(match failure {
        Failure::Failed(error) => error,
        Failure::Abandoned => abandoned(),
    })
}

/// What `identity_token=` was given.
pub fn source_from_python(given: &Bound<'_, PyAny>) -> Result<Arc<dyn IdentitySource>> {
    if let Ok(source) = given.cast::<Source>() {
        return Ok(Arc::clone(&source.get().inner));
    }
    if given.is_instance_of::<PyString>() {
        return Ok(Arc::new(Given(token_from_python(given)?)));
    }
    if given.is_callable() && !given.is_instance_of::<pyo3::types::PyType>() {
        let callable = Callable::new(given);
        return callable
            .map(|callable| Arc::new(callable) as _)
            .map_err(|error| rejection(Kind::IdentityToken, error));
    }
    Err(wrong_type(
        given,
        "identity_token",
        "a source of pgiam.oidc, a str or a callable",
    ))
}

pub fn token_from_python(given: &Bound<'_, PyAny>) -> Result<IdentityToken> {
    let text = text(Some(given), "identity_token")?.unwrap_or_default();
    IdentityToken::parse(Secret::from(&*text), "identity_token=")
}

/// A Python callable as a source of identity tokens. It runs in the context of the caller who needs one.
struct Callable {
    function: Py<PyAny>,
    /// Looked up now: an import must not be under way when the process forks.
    prepare: Py<PyAny>,
}

impl Callable {
    fn new(function: &Bound<'_, PyAny>) -> PyResult<Self> {
        let module = function.py().import("pgiam._callable")?;
        module.call_method1("prepare", (function,))?;
        Ok(Self {
            function: function.clone().unbind(),
            prepare: module.getattr("prepare_identity")?.unbind(),
        })
    }
}

/// A `pgiam._callable.Call`.
struct Call(Result<Py<PyAny>>);

impl IdentitySource for Callable {
    fn name(&self) -> String {
        "a callable".to_owned()
    }

    fn begin(&self, caller: Caller) -> Arc<dyn Asking> {
        let on_loop = caller == Caller::EventLoop;
        let call = Python::attach(|py| self.prepare.call1(py, (&self.function, on_loop)));
        Arc::new(Call(call.map_err(|error| rejection(Kind::IdentityToken, error))))
    }
}

impl Asking for Call {
    fn ask(&self) -> TokenFetch {
        let ready = |answer: Failure| -> TokenFetch { Box::pin(std::future::ready(Err(answer))) };
        let call = match &self.0 {
            Ok(call) => call,
            Err(error) => return ready(error.clone().into()),
        };
        let (sender, receiver) = oneshot::channel();
        // The first time this is the caller's thread, the second time one of ours.
        let started = exit::visit(|| {
            Python::try_attach(|py| {
                let resolver = Bound::new(py, Resolver::for_identity_token(sender))?;
                call.bind(py).call_method1("start", (resolver,))?;
                Ok(())
            })
        });
        match started.flatten() {
            None => ready(Failure::Abandoned),
            Some(Err(error)) => ready(rejection(Kind::IdentityToken, error).into()),
            Some(Ok(())) => Box::pin(async move { receiver.await.unwrap_or(Err(Failure::Abandoned)) }),
        }
    }
}

/// Keeps the identity token that a request to Vercel has brought.
#[pyfunction]
#[pyo3(name = "_vercel_saw")]
pub fn vercel_saw(token: &str) -> bool {
    vercel::saw(Secret::from(token))
}

/// The tokens of the request that this thread serves, by the `vercel` package.
pub fn vercel_tokens_of_request() -> Vec<Secret> {
    Python::attach(|py| {
        let read = py.import("pgiam._vercel").and_then(|module| {
            let tokens: Vec<String> = module.call_method0("tokens_of_request")?.extract()?;
            Ok(tokens.into_iter().map(Secret::from).collect())
        });
        read.unwrap_or_else(|error| {
            error.write_unraisable(py, None);
            Vec::new()
        })
    })
}
