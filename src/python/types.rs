//! The values that Python sees.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::clock::{ClockOffset, Time};
use crate::credentials;
use crate::endpoint;
use crate::error::{Error, shown};
use crate::python::convert::{
    Target, datetime, environment_region, port_of, raised, text, time_of, token_host_of,
};
use crate::secret::Secret;
use crate::token::Signer;

/// AWS credentials: given by hand, or as a client holds them.
#[pyclass(frozen, module = "pgiam")]
pub struct Credentials {
    pub inner: credentials::Credentials,
}

#[pymethods]
impl Credentials {
    #[new]
    #[pyo3(signature = (access_key, secret_key, session_token=None, expires_at=None, *, account_id=None))]
    fn new(
        access_key: &Bound<'_, PyAny>,
        secret_key: &Bound<'_, PyAny>,
        session_token: Option<&Bound<'_, PyAny>>,
        expires_at: Option<&Bound<'_, PyAny>>,
        account_id: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let build = || {
            let part = |value, name| text(value, name).map(|text| text.map(|text| text.into_owned()));
            credentials::Credentials {
                access_key: part(Some(access_key), "access_key")?.unwrap_or_default(),
                secret_key: Secret::from(part(Some(secret_key), "secret_key")?.unwrap_or_default()),
                session_token: part(session_token, "session_token")?.map(Secret::from),
                expires_at: time_of(expires_at, "expires_at")?,
                account_id: part(account_id, "account_id")?,
                source: "given".to_owned(),
                region: None,
                clock_offset: ClockOffset::NONE,
            }
            .check()
        };
        build().map(|inner| Self { inner }).map_err(raised)
    }

    #[getter]
    fn access_key(&self) -> &str {
        &self.inner.access_key
    }

    #[getter]
    fn secret_key(&self) -> &str {
        self.inner.secret_key.reveal()
    }

    #[getter]
    fn session_token(&self) -> Option<&str> {
        self.inner.session_token.as_ref().map(Secret::reveal)
    }

    /// botocore's name for `session_token`.
    #[getter]
    fn token(&self) -> Option<&str> {
        self.session_token()
    }

    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.inner.expires_at.map(|time| datetime(py, time)).transpose()
    }

    #[getter]
    fn account_id(&self) -> Option<&str> {
        self.inner.account_id.as_deref()
    }

    #[getter]
    fn source(&self) -> &str {
        &self.inner.source
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_picklable("Credentials"))
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }
}

pub fn not_picklable(what: &str) -> PyErr {
    raised(Error::configuration(
        format!("pgiam.{what} cannot be pickled"),
        "Make a new one in the other process: secrets are not written anywhere.",
    ))
}

/// A named AWS profile as the source of credentials.
#[pyclass(frozen, module = "pgiam")]
pub struct Profile {
    #[pyo3(get)]
    pub name: String,
}

#[pymethods]
impl Profile {
    #[new]
    fn new(name: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = text(Some(name), "name").map_err(raised)?.unwrap_or_default();
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            return Err(raised(Error::configuration(
                format!("{:?} is no profile name", shown(&name)),
                "Pass a name from ~/.aws/config; `aws configure list-profiles` shows them.",
            )));
        }
        Ok(Self {
            name: name.into_owned(),
        })
    }

    fn __repr__(&self) -> String {
        format!("pgiam.Profile({:?})", self.name)
    }
}

/// What a host says: what is signed for it, for which service and region.
#[pyclass(frozen, eq, module = "pgiam")]
#[derive(PartialEq)]
pub struct Endpoint {
    inner: endpoint::Endpoint,
}

#[pymethods]
impl Endpoint {
    #[staticmethod]
    #[pyo3(signature = (host, *, port=None, region=None, token_host=None))]
    fn parse(
        host: &Bound<'_, PyAny>,
        port: Option<&Bound<'_, PyAny>>,
        region: Option<&Bound<'_, PyAny>>,
        token_host: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let parse = || {
            let host = text(Some(host), "host")?.unwrap_or_default();
            let (region, token_host) = (text(region, "region")?, token_host_of(token_host)?);
            let address = endpoint::Address {
                host: &host,
                port: port_of(port)?,
                region: region.as_deref(),
                token_host: token_host.as_deref(),
            };
            endpoint::Endpoint::parse(&address, environment_region)
        };
        parse().map(|inner| Self { inner }).map_err(raised)
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.inner.kind.name()
    }

    #[getter]
    fn region(&self) -> &str {
        &self.inner.region
    }

    #[getter]
    fn partition(&self) -> &'static str {
        self.inner.partition.name
    }

    #[getter]
    fn host(&self) -> &str {
        &self.inner.host
    }

    #[getter]
    fn port(&self) -> u16 {
        self.inner.port
    }

    #[getter]
    fn token_host(&self) -> &str {
        &self.inner.token_host
    }

    #[getter]
    fn token_port(&self) -> u16 {
        self.inner.token_port
    }

    #[getter]
    fn cluster_id(&self) -> Option<&str> {
        self.inner.cluster_id.as_deref()
    }

    fn __repr__(&self) -> String {
        let (endpoint, kind) = (&self.inner, self.inner.kind.name());
        let mut shown = format!("<pgiam.Endpoint {kind} {}:{}", endpoint.host, endpoint.port);
        if endpoint.token_host != endpoint.host {
            shown.push_str(&format!(" signed as {}", endpoint.token_host));
        }
        format!("{shown} in {}>", endpoint.region)
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.inner.host, self.inner.port, &self.inner.token_host).hash(&mut hasher);
        hasher.finish()
    }
}

/// What a client has done so far.
#[pyclass(frozen, module = "pgiam")]
pub struct Stats {
    #[pyo3(get)]
    tokens: u64,
    #[pyo3(get)]
    refreshes: u64,
    #[pyo3(get)]
    refresh_failures: u64,
    #[pyo3(get)]
    waits: u64,
    last_refresh: Option<Time>,
    expires_at: Option<Time>,
}

impl From<crate::client::Stats> for Stats {
    fn from(stats: crate::client::Stats) -> Self {
        Self {
            tokens: stats.tokens,
            refreshes: stats.refreshes,
            refresh_failures: stats.refresh_failures,
            waits: stats.waits,
            last_refresh: stats.last_refresh,
            expires_at: stats.expires_at,
        }
    }
}

#[pymethods]
impl Stats {
    #[getter]
    fn last_refresh<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.last_refresh.map(|time| datetime(py, time)).transpose()
    }

    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.expires_at.map(|time| datetime(py, time)).transpose()
    }

    fn __repr__(&self) -> String {
        format!(
            "<pgiam.Stats tokens={} refreshes={} refresh_failures={} waits={}>",
            self.tokens, self.refreshes, self.refresh_failures, self.waits
        )
    }
}

/// Signs with the clock passed in, for tests that compare with other signers: (token, expires_at).
#[pyfunction]
#[pyo3(name = "_sign_at", signature = (credentials, now, *, host, user, port=None, region=None, token_host=None, expires_in=None))]
#[allow(clippy::too_many_arguments)]
pub fn sign_at<'py>(
    py: Python<'py>,
    credentials: &Bound<'py, Credentials>,
    now: f64,
    host: &Bound<'py, PyAny>,
    user: &Bound<'py, PyAny>,
    port: Option<&Bound<'py, PyAny>>,
    region: Option<&Bound<'py, PyAny>>,
    token_host: Option<&Bound<'py, PyAny>>,
    expires_in: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let sign = || {
        let target = Target::new(Some(host), Some(user), port, region, token_host, expires_in)?;
        let endpoint = endpoint::Endpoint::parse(&target.address(), environment_region)?;
        let now = Time::from_millis((now * 1000.0) as i64);
        Signer::new(credentials.get().inner.clone()).sign(&endpoint, target.login(), now)
    };
    let token = sign().map_err(raised)?;
    (token.value.reveal(), datetime(py, token.expires_at)?).into_bound_py_any(py)
}
