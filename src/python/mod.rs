//! The binding: converts between Python and the core, and nothing else.

mod client;
mod convert;
mod event_loop;
mod exit;
mod source;
mod types;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<client::Client>()?;
    module.add_class::<client::Entry>()?;
    module.add_class::<source::Resolver>()?;
    module.add_class::<types::Credentials>()?;
    module.add_class::<types::Endpoint>()?;
    module.add_class::<types::Profile>()?;
    module.add_class::<types::Stats>()?;
    module.add_function(wrap_pyfunction!(types::sign_at, module)?)?;
    module.add_function(wrap_pyfunction!(exit::closing, module)?)?;
    Ok(())
}
