//! The moment before a fork. What is ours lives in a `PerProcess`; what dependencies keep in statics must not
//! be half made then: a child would wait for ever for the thread that makes it, which it does not have.

use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use crate::http;
use crate::runtime;

/// At import: later, a fork could come between the first thread and the registration. Children inherit it.
pub fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Windows has no fork.
    if let Some(register) = module.py().import("os")?.getattr_opt("register_at_fork")? {
        let before = wrap_pyfunction!(before_fork, module)?;
        register.call((), Some(&[("before", before)].into_py_dict(module.py())?))?;
    }
    Ok(())
}

#[pyfunction]
fn before_fork() {
    // Without threads nothing can be half made, and reading certificates takes milliseconds.
    if runtime::is_started() {
        http::settle();
    }
}
