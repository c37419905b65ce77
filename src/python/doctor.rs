//! The doctor: `pgiam.Diagnosis`, the examination that yields them, and the table behind `pgiam.explain`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

use crate::credentials::Caller;
use crate::doctor::diagnosis::{self, STAGES, Value};
use crate::doctor::examination::{Patient, examine};
use crate::doctor::explain::explain;
use crate::doctor::refusal::Refusal;
use crate::doctor::situation::Situation;
use crate::endpoint::{Address, Endpoint};
use crate::error::Error;
use crate::python::blocking::blocked;
use crate::python::client::Client;
use crate::python::convert::{environment_region, port_of, raised, set, text, token_host_of, whole_number};
use crate::python::event_loop;
use crate::runtime;

type Any<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// What the doctor found at one stage of a login.
#[pyclass(frozen, module = "pgiam")]
pub struct Diagnosis {
    inner: diagnosis::Diagnosis,
}

#[pymethods]
impl Diagnosis {
    #[getter]
    fn stage(&self) -> &'static str {
        self.inner.stage.name()
    }

    /// "ok", "warning", "failure" or "skipped".
    #[getter]
    fn status(&self) -> &'static str {
        self.inner.status.name()
    }

    /// The cause, such as "tls.expired".
    #[getter]
    fn name(&self) -> &'static str {
        self.inner.name
    }

    #[getter]
    fn title(&self) -> &str {
        &self.inner.title
    }

    #[getter]
    fn detail<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.inner.detail)
    }

    #[getter]
    fn why(&self) -> &str {
        &self.inner.why
    }

    #[getter]
    fn fix(&self) -> &str {
        &self.inner.fix
    }

    /// Things to copy: (label, text).
    #[getter]
    fn snippets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(
            py,
            self.inner
                .snippets
                .iter()
                .map(|one| (one.label, one.text.as_str())),
        )
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table(py, &self.inner.data)
    }

    /// What a program exits with if this is its first failure.
    #[getter]
    fn exit_status(&self) -> u8 {
        self.inner.stage.exit_status()
    }

    fn __repr__(&self) -> String {
        format!(
            "<pgiam.Diagnosis {} {}: {}>",
            self.inner.status.name(),
            self.inner.name,
            self.inner.title
        )
    }
}

impl From<diagnosis::Diagnosis> for Diagnosis {
    fn from(inner: diagnosis::Diagnosis) -> Self {
        Self { inner }
    }
}

fn table<'py>(py: Python<'py>, entries: &[(&'static str, Value)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in entries {
        dict.set_item(name, converted(py, value)?)?;
    }
    Ok(dict)
}

fn converted<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Nothing => py.None().into_bound(py),
        Value::Flag(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Value::Whole(number) => number.into_pyobject(py)?.into_any(),
        Value::Text(text) => text.into_pyobject(py)?.into_any(),
        Value::List(values) => {
            let values: PyResult<Vec<_>> = values.iter().map(|value| converted(py, value)).collect();
            PyList::new(py, values?)?.into_any()
        }
        Value::Table(entries) => table(py, entries)?.into_any(),
    })
}

/// Runs from its making on; gives the diagnoses one by one, then None. Dropped, it ends.
#[pyclass(frozen, name = "_Examination", module = "pgiam._core")]
pub struct Examination {
    diagnoses: Arc<Mutex<UnboundedReceiver<diagnosis::Diagnosis>>>,
    task: AbortHandle,
}

impl Drop for Examination {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[pymethods]
impl Examination {
    #[new]
    #[pyo3(signature = (client, *, on_loop, host, port, user, database, region, token_host, expires_in, ca_file, missing_ca, timeout, name_server=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        client: &Bound<'_, Client>,
        on_loop: bool,
        host: Any<'_, '_>,
        port: Any<'_, '_>,
        user: Any<'_, '_>,
        database: &str,
        region: Any<'_, '_>,
        token_host: Any<'_, '_>,
        expires_in: Any<'_, '_>,
        ca_file: String,
        missing_ca: Option<String>,
        timeout: f64,
        name_server: Option<(&str, u16)>,
    ) -> PyResult<Self> {
        let caller = if on_loop {
            Caller::EventLoop
        } else {
            Caller::Thread
        };
        let owned = |value: Any<'_, '_>, option| -> PyResult<Option<String>> {
            Ok(text(value, option).map_err(raised)?.map(|text| text.into_owned()))
        };
        let set_or = |value: Option<String>, name| value.or_else(|| set(name).map(|text| text.into_owned()));
        let expires_in = whole_number(expires_in, "expires_in").map_err(raised)?;
        let patient = Patient {
            host: set_or(owned(host, "host")?, "PGHOST"),
            port: port_of(port).map_err(raised)?,
            user: set_or(owned(user, "user")?, "PGUSER"),
            database: database.to_owned(),
            region: owned(region, "region")?,
            token_host: token_host_of(token_host)
                .map_err(raised)?
                .map(|text| text.into_owned()),
            // No endpoint takes what does not fit, and signing says so.
            expires_in: expires_in.map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
            environment_region: environment_region(),
            ca_file,
            missing_ca,
            attempts: client.get().explanation(),
            held: client.get().held(caller),
            timeout: Duration::try_from_secs_f64(timeout)
                .map_err(|_| raised(Error::configuration("timeout is no duration", "Pass seconds.")))?,
            name_server: name_server.and_then(|(host, port)| Some(SocketAddr::new(host.parse().ok()?, port))),
        };
        let (sender, receiver) = unbounded_channel();
        let task = runtime::spawn(examine(patient, sender)).map_err(raised)?;
        Ok(Self {
            diagnoses: Arc::new(Mutex::new(receiver)),
            task: task.abort_handle(),
        })
    }

    /// The next diagnosis, or None at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Diagnosis>> {
        let diagnoses = Arc::clone(&self.diagnoses);
        let next = blocked(py, async move { diagnoses.lock().await.recv().await })?;
        Ok(next.map(Diagnosis::from))
    }

    /// Awaitable: as `next`.
    fn next_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let diagnoses = Arc::clone(&self.diagnoses);
        event_loop::awaitable(py, async move {
            Ok(diagnoses.lock().await.recv().await.map(Diagnosis::from))
        })
    }
}

/// The stages, each with the exit status of a failure there.
#[pyfunction]
#[pyo3(name = "_doctor_stages")]
pub fn stages() -> Vec<(&'static str, u8)> {
    STAGES
        .iter()
        .map(|stage| (stage.name(), stage.exit_status()))
        .collect()
}

/// What a driver's error means, as a diagnosis; None if it means nothing that is known.
#[pyfunction]
#[pyo3(name = "_explain", signature = (message, *, sqlstate, hint, host, port, user, database, region, token_host))]
#[allow(clippy::too_many_arguments)]
pub fn explain_error(
    message: String,
    sqlstate: Option<String>,
    hint: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    database: Option<String>,
    region: Option<String>,
    token_host: Option<String>,
) -> Option<Diagnosis> {
    let mut known = Situation {
        host: host.clone(),
        port,
        user,
        database,
        region: region.clone(),
        ..Situation::default()
    };
    if let Some(host) = &host {
        let address = Address {
            host,
            port,
            region: region.as_deref(),
            token_host: token_host.as_deref(),
        };
        // What cannot be signed for has no kind, and the error is explained without one.
        if let Ok(endpoint) = Endpoint::parse(&address, environment_region) {
            known = known.at(&endpoint);
        }
    }
    let refusal = Refusal {
        sqlstate,
        message,
        hint,
    };
    explain(&refusal, &known).map(Diagnosis::from)
}
