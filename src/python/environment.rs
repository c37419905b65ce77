//! Variables where there is no GIL. With one, whoever changes `os.environ` holds it, and so do we while we read.
//! Without, another thread may be within `setenv`, and glibc before 2.41 then has `getenv` read freed memory.
//! `os.environ` itself can be read at any time.

use std::env;
use std::ffi::OsString;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

pub fn read(name: &str) -> Option<OsString> {
    static LOOK_UP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let found = Python::try_attach(|py| -> PyResult<Option<OsString>> {
        let look_up = LOOK_UP.get_or_try_init(py, || {
            let look_up = py.import("os")?.getattr("environ")?.getattr("get")?;
            Ok::<_, PyErr>(look_up.unbind())
        })?;
        look_up.bind(py).call1((name,))?.extract()
    });
    match found {
        Some(Ok(value)) => value,
        Some(Err(error)) => {
            Python::attach(|py| error.write_unraisable(py, None));
            None
        }
        // The interpreter is gone, and with it whoever could change the environment.
        None => env::var_os(name),
    }
}
