//! Waiting on a thread of Python's: with the GIL released, and open to Ctrl-C.

use std::future::Future;
use std::time::Duration;

use pyo3::prelude::*;

use crate::python::convert::raised;
use crate::python::exit;
use crate::runtime;

/// How often a blocked thread looks for Ctrl-C: soon at first, then seldom.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const SELDOM_LOOK: Duration = Duration::from_millis(400);

pub fn blocked<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    exit::watch(py)?;
    let handle = runtime::handle().map_err(raised)?;
    let mut future = Box::pin(future);
    let mut patience = FIRST_LOOK;
    loop {
        let done = py.detach(|| {
            let done = handle.block_on(async { tokio::time::timeout(patience, &mut future).await });
            exit::stay_away_if_closing();
            done
        });
        match done {
            Ok(answer) => return Ok(answer),
            Err(_) => py.check_signals()?,
        }
        patience = (patience * 2).min(SELDOM_LOOK);
    }
}
