//! `pgiam._core.Client`: the calls that wait block here, with the GIL released, or hand out an awaitable.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::client;
use crate::clock;
use crate::credentials::{self, Caller};
use crate::doctor::examination::Held;
use crate::error::Result;
use crate::python::blocking::blocked;
use crate::python::convert::{Target, environment_region, raised};
use crate::python::crowd::Crowds;
use crate::python::event_loop::{self, Converted};
use crate::python::findings::{CallerIdentity, Finding};
use crate::python::source;
use crate::python::types::{Credentials, Stats, not_picklable};
use crate::refreshing::{self, Outcome, Refreshing, Ticket};
use crate::sts;

#[pyclass(frozen, subclass, module = "pgiam._core")]
pub struct Client {
    inner: client::Client,
    crowds: Crowds,
}

/// Credentials that a wait brought, to sign with although their life may be short.
#[pyclass(frozen, name = "_Entry", module = "pgiam._core")]
pub struct Entry {
    pub inner: Arc<refreshing::Entry>,
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (source=None, /))]
    fn new(source: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let source = source::from_python(source).map_err(raised)?;
        Ok(Self {
            inner: client::Client::new(source, Arc::new(source::Logger)),
            crowds: Crowds::default(),
        })
    }

    /// A fresh auth token. Waits only if there is nothing valid to sign with.
    #[pyo3(signature = (*, host=None, user=None, port=None, region=None, token_host=None, expires_in=None))]
    #[allow(clippy::too_many_arguments)]
    fn generate_auth_token<'py>(
        &self,
        py: Python<'py>,
        host: Option<&Bound<'py, PyAny>>,
        user: Option<&Bound<'py, PyAny>>,
        port: Option<&Bound<'py, PyAny>>,
        region: Option<&Bound<'py, PyAny>>,
        token_host: Option<&Bound<'py, PyAny>>,
        expires_in: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyString>> {
        let target = Target::new(host, user, port, region, token_host, expires_in).map_err(raised)?;
        let entry = match self.inner.usable(Caller::Thread, clock::now()) {
            Some(entry) => entry,
            None => {
                self.check(&target).map_err(raised)?;
                self.blocking(py, client::Client::wait)?
            }
        };
        self.mint(py, &entry, &target)
    }

    /// As `generate_auth_token`, but None where that would wait.
    #[pyo3(signature = (entry, host, user, port, region, token_host, expires_in))]
    #[allow(clippy::too_many_arguments)]
    fn _mint<'py>(
        &self,
        py: Python<'py>,
        entry: Option<&Bound<'py, Entry>>,
        host: Option<&Bound<'py, PyAny>>,
        user: Option<&Bound<'py, PyAny>>,
        port: Option<&Bound<'py, PyAny>>,
        region: Option<&Bound<'py, PyAny>>,
        token_host: Option<&Bound<'py, PyAny>>,
        expires_in: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let target = Target::new(host, user, port, region, token_host, expires_in).map_err(raised)?;
        let entry = match entry {
            Some(entry) => Some(Arc::clone(&entry.get().inner)),
            None => self.inner.usable(Caller::EventLoop, clock::now()),
        };
        match entry {
            Some(entry) => self.mint(py, &entry, &target).map(Some),
            None => self.check(&target).map(|()| None).map_err(raised),
        }
    }

    /// Awaitable: credentials to sign with, or None if whoever fetched them went away.
    fn _wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.awaiting(py, client::Client::wait)
    }

    /// Awaitable: as `_wait`, and newer than the present ones.
    fn _wait_newer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.awaiting(py, client::Client::refresh)
    }

    /// The credentials of an entry, or the usable ones, or None.
    fn _credentials(&self, entry: Option<&Bound<'_, Entry>>) -> Option<Credentials> {
        let entry = match entry {
            Some(entry) => Arc::clone(&entry.get().inner),
            None => self.inner.usable(Caller::EventLoop, clock::now())?,
        };
        Some(credentials_of(&entry))
    }

    /// True if the next token needs no waiting.
    fn ready(&self) -> bool {
        self.inner.usable(Caller::Thread, clock::now()).is_some()
    }

    /// The credentials that sign now.
    fn credentials(&self, py: Python<'_>) -> PyResult<Credentials> {
        let entry = match self.inner.usable(Caller::Thread, clock::now()) {
            Some(entry) => entry,
            None => self.blocking(py, client::Client::wait)?,
        };
        Ok(credentials_of(&entry))
    }

    /// Fetches new credentials now; the present ones serve until those are here.
    fn refresh(&self, py: Python<'_>) -> PyResult<Credentials> {
        let entry = self.blocking(py, client::Client::refresh)?;
        Ok(credentials_of(&entry))
    }

    /// Forgets the credentials: the next call fetches new ones.
    fn invalidate(&self) {
        self.inner.invalidate();
    }

    /// Whose the credentials are, by STS's own word.
    fn whoami(&self, py: Python<'_>) -> PyResult<CallerIdentity> {
        let credentials = self.credentials(py)?.inner;
        let identity = blocked(py, async move { sts::caller_identity(&credentials).await })?;
        identity.map(CallerIdentity::from).map_err(raised)
    }

    /// Awaitable: as `whoami`, for credentials at hand.
    fn _whoami<'py>(
        &self,
        py: Python<'py>,
        credentials: &Bound<'py, Credentials>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let credentials = credentials.get().inner.clone();
        event_loop::awaitable(py, async move {
            let identity = sts::caller_identity(&credentials).await;
            Ok(Converted(identity.map(CallerIdentity::from)))
        })
    }

    /// Every place that credentials could come from, in order, and what came of it. Asks none of them.
    fn explain(&self) -> Vec<Finding> {
        self.inner.explain().into_iter().map(Finding::from).collect()
    }

    fn stats(&self) -> Stats {
        self.inner.stats().into()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_picklable("Client"))
    }
}

impl Client {
    pub fn refreshing(&self) -> Refreshing {
        self.inner.refreshing().clone()
    }

    pub fn explanation(&self) -> Vec<credentials::Finding> {
        self.inner.explain()
    }

    /// Credentials as they are now: at hand, or on their way.
    pub fn held(&self, caller: Caller) -> Held {
        let now = clock::now();
        match self.inner.usable(caller, now) {
            Some(entry) => Held::Ready(entry),
            None => match self.inner.wait(caller, now) {
                Ok(ticket) => Held::Coming(ticket),
                Err(error) => Held::Failed(error),
            },
        }
    }

    fn mint<'py>(
        &self,
        py: Python<'py>,
        entry: &refreshing::Entry,
        target: &Target<'_>,
    ) -> PyResult<Bound<'py, PyString>> {
        let token = self.inner.mint(
            entry,
            &target.address(),
            target.login(),
            environment_region,
            clock::now(),
        );
        token
            .map(|token| PyString::new(py, token.value.reveal()))
            .map_err(raised)
    }

    /// What is wrong with the arguments is said before anybody waits for the network.
    fn check(&self, target: &Target<'_>) -> Result<()> {
        // The profile's region is not known yet; a stand-in shows every other fault.
        let region = || environment_region().or_else(|| Some("us-east-1".to_owned()));
        let endpoint = crate::endpoint::Endpoint::parse(&target.address(), region)?;
        target.login().check(endpoint.kind).map(drop)
    }

    fn blocking(
        &self,
        py: Python<'_>,
        begin: fn(&client::Client, Caller, clock::Time) -> Result<Ticket>,
    ) -> PyResult<Arc<refreshing::Entry>> {
        loop {
            let ticket = begin(&self.inner, Caller::Thread, clock::now()).map_err(raised)?;
            match blocked(py, ticket.outcome())? {
                Outcome::Ready(entry) => return Ok(entry),
                Outcome::Failed(error) => return Err(raised(error)),
                Outcome::Abandoned => {}
            }
        }
    }

    fn awaiting<'py>(
        &self,
        py: Python<'py>,
        begin: fn(&client::Client, Caller, clock::Time) -> Result<Ticket>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ticket = begin(&self.inner, Caller::EventLoop, clock::now()).map_err(raised)?;
        self.crowds.join(py, ticket)
    }
}

fn credentials_of(entry: &refreshing::Entry) -> Credentials {
    Credentials {
        inner: entry.signer.credentials().clone(),
    }
}
