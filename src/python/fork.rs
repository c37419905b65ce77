//! Python says when it is going to fork.

use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use crate::fork;
use crate::python::exit;

/// At import: later, a fork could come between the first thread and the registration. Children inherit it.
pub fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Windows has no fork.
    if let Some(register) = module.py().import("os")?.getattr_opt("register_at_fork")? {
        let hooks = [
            ("before", wrap_pyfunction!(before_fork, module)?),
            ("after_in_parent", wrap_pyfunction!(after_fork, module)?),
        ];
        register.call((), Some(&hooks.into_py_dict(module.py())?))?;
    }
    Ok(())
}

#[pyfunction]
fn before_fork(py: Python<'_>) {
    if !fork::is_near() {
        // A step may need the GIL for its end.
        py.detach(|| {
            fork::wait_for_steps();
            exit::stay_away_if_closing();
        });
    }
}

#[pyfunction]
fn after_fork() {
    fork::is_over();
}
