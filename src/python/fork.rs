//! The moment before a fork. What is ours lives in a `PerProcess`; what dependencies keep in statics must not
//! be half made then: a child would wait for ever for the thread that makes it, which it does not have.

use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use crate::http;

/// Called once, before there are threads. A child inherits the registration.
pub fn watch(py: Python<'_>) -> PyResult<()> {
    // Windows has no fork.
    if let Some(register) = py.import("os")?.getattr_opt("register_at_fork")? {
        let before = py.import("pgiam._core")?.getattr("_before_fork")?;
        register.call((), Some(&[("before", before)].into_py_dict(py)?))?;
    }
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_before_fork")]
pub fn before_fork() {
    http::settle();
}
