//! Tells the binding what kind of interpreter it is built for: `cfg(Py_GIL_DISABLED)`.

fn main() {
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
