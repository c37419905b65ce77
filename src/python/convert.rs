//! Arguments in, errors out.

use std::borrow::Cow;
use std::ffi::OsString;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyType};

use crate::clock::Time;
use crate::endpoint::Address;
use crate::error::{Error, Kind, Refusal, Result, shown};
use crate::surroundings;
use crate::token::Login;

type Any<'py> = Option<&'py Bound<'py, PyAny>>;

/// Where to log in and as whom, as Python passed it, with the environment's word for what it left out.
pub struct Target<'py> {
    host: Cow<'py, str>,
    user: Cow<'py, str>,
    port: Option<u16>,
    region: Option<Cow<'py, str>>,
    token_host: Option<Cow<'py, str>>,
    expires_in: Option<u32>,
}

impl<'py> Target<'py> {
    pub fn new(
        host: Any<'py>,
        user: Any<'py>,
        port: Any<'py>,
        region: Any<'py>,
        token_host: Any<'py>,
        expires_in: Any<'py>,
    ) -> Result<Self> {
        let host = text(host, "host")?.or_else(|| set("PGHOST")).ok_or_else(|| {
            Error::configuration(
                "host is missing",
                "Pass host= with the database's endpoint, or set PGHOST.",
            )
        })?;
        let user = text(user, "user")?.or_else(|| set("PGUSER")).ok_or_else(|| {
            Error::configuration(
                "user is missing",
                "Pass user= with the database user, or set PGUSER.",
            )
        })?;
        Ok(Self {
            host,
            user,
            port: port_of(port)?,
            region: text(region, "region")?,
            token_host: token_host_of(token_host)?,
            expires_in: expires_in_of(expires_in)?,
        })
    }

    pub fn address(&self) -> Address<'_> {
        Address {
            host: &self.host,
            port: self.port,
            region: self.region.as_deref(),
            token_host: self.token_host.as_deref(),
        }
    }

    pub fn login(&self) -> Login<'_> {
        Login {
            user: &self.user,
            expires_in: self.expires_in,
        }
    }
}

pub fn port_of(port: Any<'_>) -> Result<Option<u16>> {
    if let Some(number) = whole_number(port, "port")? {
        return match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(Error::configuration(
                format!("port {number} is out of range"),
                "Pass a port from 1 to 65535.",
            )),
        };
    }
    let Some(port) = set("PGPORT") else {
        return Ok(None);
    };
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Error::configuration(
            format!("PGPORT={} is no port", shown(&port)),
            "Set PGPORT to a number from 1 to 65535.",
        )),
    }
}

pub fn token_host_of(token_host: Any<'_>) -> Result<Option<Cow<'_, str>>> {
    Ok(text(token_host, "token_host")?.or_else(|| set("PGIAM_TOKEN_HOST")))
}

fn expires_in_of(expires_in: Any<'_>) -> Result<Option<u32>> {
    let Some(number) = whole_number(expires_in, "expires_in")? else {
        return Ok(None);
    };
    // Which range fits is known with the endpoint; no endpoint takes what a u32 does not.
    u32::try_from(number).map(Some).map_err(|_| {
        Error::configuration(
            format!("expires_in={number} is out of range"),
            "Pass 1 to 900 seconds for RDS, 1 to 604800 for Aurora DSQL, or leave it out.",
        )
    })
}

/// The region that the environment names.
pub fn environment_region() -> Option<String> {
    set("AWS_REGION")
        .or_else(|| set("AWS_DEFAULT_REGION"))
        .map(Cow::into_owned)
}

/// A variable's value; an empty one counts as absent.
pub fn set(name: &str) -> Option<Cow<'static, str>> {
    surroundings::text_of(name).map(Cow::Owned)
}

/// The same for Python, in a tenth of the time that `os.environ` takes.
#[pyfunction]
#[pyo3(name = "_variable")]
pub fn variable(name: &str) -> Option<OsString> {
    surroundings::variable(name).filter(|value| !value.is_empty())
}

pub fn text<'py>(value: Any<'py>, option: &str) -> Result<Option<Cow<'py, str>>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    let Ok(string) = value.cast::<PyString>() else {
        return Err(wrong_type(value, option, "str"));
    };
    string.to_str().map(Cow::Borrowed).map(Some).map_err(|_| {
        Error::configuration(
            format!("{option} has lone surrogates"),
            format!("Pass {option} as text that can be written as UTF-8."),
        )
    })
}

pub fn whole_number(value: Any<'_>, option: &str) -> Result<Option<i64>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    if !value.is_instance_of::<PyInt>() || value.is_instance_of::<PyBool>() {
        return Err(wrong_type(value, option, "int"));
    }
    // What no i64 holds is out of every range.
    Ok(Some(value.extract::<i64>().unwrap_or(i64::MAX)))
}

pub fn wrong_type(value: &Bound<'_, PyAny>, option: &str, wanted: &str) -> Error {
    let found = value
        .get_type()
        .name()
        .map_or_else(|_| "?".to_owned(), |name| name.to_string());
    Error::new(
        Kind::WrongType,
        format!("{option} must be {wanted}, not {found}"),
        format!("Pass {option} as {wanted}."),
    )
}

/// The Python exception of a core error.
pub fn raised(error: Error) -> PyErr {
    Python::attach(|py| build(py, error).unwrap_or_else(|failed| failed))
}

fn build(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let cause = error
        .cause
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<PyErr>());
    if let Some(cause) = cause
        && cause.is_instance(py, class(py, Kind::Configuration)?.getattr("__base__")?.as_any())
    {
        return Ok(cause.clone_ref(py));
    }
    let options = PyDict::new(py);
    options.set_item("hint", error.hint)?;
    if let (Kind::Exchange, Some(refusal)) = (error.kind, &error.refusal) {
        options.set_item("code", &refusal.code)?;
        options.set_item("request_id", refusal.request_id.as_deref())?;
        options.set_item("claims", claims_of(py, refusal)?)?;
    }
    if matches!(error.kind, Kind::Credentials | Kind::IdentityToken) {
        let attempts: Vec<(String, String)> = error
            .attempts
            .into_iter()
            .map(|attempt| (attempt.source, attempt.outcome))
            .collect();
        options.set_item("attempts", attempts)?;
    }
    let exception = PyErr::from_value(class(py, error.kind)?.call((error.message,), Some(&options))?);
    if let Some(cause) = cause {
        exception.set_cause(py, Some(cause.clone_ref(py)));
    }
    Ok(exception)
}

/// Name to value; to a list of values where a claim has several.
fn claims_of<'py>(py: Python<'py>, refusal: &Refusal) -> PyResult<Bound<'py, PyDict>> {
    let claims = PyDict::new(py);
    for (name, _) in &refusal.claims {
        let values: Vec<&String> = refusal
            .claims
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, v)| v)
            .collect();
        match values.as_slice() {
            [one] => claims.set_item(name, one)?,
            several => claims.set_item(name, several.to_vec())?,
        }
    }
    Ok(claims)
}

fn class<'py>(py: Python<'py>, kind: Kind) -> PyResult<Bound<'py, PyType>> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let errors = ERRORS.get_or_try_init(py, || Ok::<_, PyErr>(py.import("pgiam.errors")?.unbind()))?;
    let name = match kind {
        Kind::Configuration => "ConfigurationError",
        Kind::WrongType => "WrongTypeError",
        Kind::Endpoint => "EndpointError",
        Kind::Credentials => "CredentialsError",
        Kind::IdentityToken => "IdentityTokenError",
        Kind::Exchange => "ExchangeError",
        Kind::Transport => "TransportError",
    };
    Ok(errors.bind(py).getattr(name)?.cast_into::<PyType>()?)
}

/// An aware datetime in UTC.
pub fn datetime<'py>(py: Python<'py>, time: Time) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    module
        .getattr("datetime")?
        .call_method1("fromtimestamp", (time.millis() as f64 / 1000.0, utc))
}

/// From an aware datetime. A naive one could mean anything.
pub fn time_of(value: Any<'_>, option: &str) -> Result<Option<Time>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    let fits = || -> PyResult<Option<f64>> {
        let datetime = value.py().import("datetime")?.getattr("datetime")?;
        if !value.is_instance(&datetime)? || value.call_method0("utcoffset")?.is_none() {
            return Ok(None);
        }
        value.call_method0("timestamp")?.extract().map(Some)
    };
    match fits() {
        Ok(Some(seconds)) => Ok(Some(Time::from_millis((seconds * 1000.0) as i64))),
        _ => Err(wrong_type(value, option, "a datetime with a time zone")),
    }
}
