//! Awaiting the runtime from Python: `pyo3-async-runtimes` over our own per-process runtime. Its `tokio`
//! module is not used because that one's runtime does not survive a fork.

use std::future::Future;
use std::pin::Pin;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};

use crate::error::Error;
use crate::fork;
use crate::python::convert::raised;
use crate::python::exit;
use crate::runtime;

tokio::task_local! {
    static LOCALS: TaskLocals;
}

/// An answer that becomes a Python object, or an exception, where the GIL is held anyway and never on the
/// runtime's own thread.
pub struct Converted<T>(pub Result<T, Error>);

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Converted<T>
where
    PyErr: From<T::Error>,
{
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.map_err(raised)?.into_bound_py_any(py)
    }
}

struct PerProcessRuntime;

pub struct Panicked(tokio::task::JoinError);

impl JoinError for Panicked {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}

pub struct Joined(tokio::task::JoinHandle<()>);

impl Future for Joined {
    type Output = Result<(), Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Panicked)
    }
}

impl Runtime for PerProcessRuntime {
    type JoinError = Panicked;
    type JoinHandle = Joined;

    fn spawn<F>(future: F) -> Joined
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Joined(handle().spawn(fork::stepwise(future)))
    }

    fn spawn_blocking<F>(work: F) -> Joined
    where
        F: FnOnce() + Send + 'static,
    {
        Joined(handle().spawn_blocking(move || {
            exit::visit(work);
        }))
    }
}

impl ContextExt for PerProcessRuntime {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(locals, future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(Clone::clone).ok()
    }
}

fn handle() -> &'static tokio::runtime::Handle {
    // `awaitable` has asked for it before, and it stays.
    runtime::handle().expect("the runtime was started before")
}

/// A future of the running event loop that ends as `future` does.
pub fn awaitable<'py, F, T>(py: Python<'py>, future: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    runtime::handle().map_err(raised)?;
    let running = pyo3_async_runtimes::get_running_loop(py)?;
    let locals = TaskLocals::new(Bound::new(py, WhileOpen(running.unbind()))?.into_any());
    generic::future_into_py_with_locals::<PerProcessRuntime, _, T>(py, locals, future)
}

/// The event loop, as far as the runtime needs it. Whoever closes a loop has stopped waiting; telling it
/// then is no error, and `pyo3-async-runtimes` would print one to stderr.
#[pyclass(frozen)]
struct WhileOpen(Py<PyAny>);

#[pymethods]
impl WhileOpen {
    fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.bind(py).call_method0("create_future")
    }

    #[pyo3(signature = (*args, **options))]
    fn call_soon_threadsafe<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let event_loop = self.0.bind(py);
        match event_loop.call_method("call_soon_threadsafe", args, options) {
            Err(_) if event_loop.call_method0("is_closed")?.is_truthy()? => Ok(()),
            done => done.map(drop),
        }
    }
}
