//! The binding: converts between Python and the core, and nothing else.

mod blocking;
mod client;
mod convert;
mod crowd;
mod doctor;
#[cfg(Py_GIL_DISABLED)]
mod environment;
mod event_loop;
mod exit;
mod findings;
mod fork;
mod oidc;
mod roles;
mod source;
mod types;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<client::Client>()?;
    module.add_class::<client::Entry>()?;
    module.add_class::<doctor::Diagnosis>()?;
    module.add_class::<doctor::Examination>()?;
    module.add_class::<findings::CallerIdentity>()?;
    module.add_class::<findings::Finding>()?;
    module.add_class::<oidc::Source>()?;
    module.add_class::<roles::AssumeRole>()?;
    module.add_class::<roles::WebIdentity>()?;
    module.add_class::<source::Resolver>()?;
    module.add_class::<types::Credentials>()?;
    module.add_class::<types::Endpoint>()?;
    module.add_class::<types::Profile>()?;
    module.add_class::<types::Stats>()?;
    module.add_function(wrap_pyfunction!(types::sign_at, module)?)?;
    module.add_function(wrap_pyfunction!(doctor::explain_error, module)?)?;
    module.add_function(wrap_pyfunction!(doctor::stages, module)?)?;
    module.add_function(wrap_pyfunction!(convert::variable, module)?)?;
    exit::watch(module)?;
    fork::watch(module)?;
    module.add_function(wrap_pyfunction!(oidc::vercel_saw, module)?)?;
    module.add_function(wrap_pyfunction!(roles::exchange_oidc_token, module)?)?;
    module.add_function(wrap_pyfunction!(roles::exchange_oidc_token_async, module)?)?;
    #[cfg(Py_GIL_DISABLED)]
    let _ = crate::surroundings::READER.set(environment::read);
    // A second interpreter of the process brings the same function.
    let _ = crate::oidc::vercel::OF_REQUEST.set(oidc::vercel_tokens_of_request);
    Ok(())
}
