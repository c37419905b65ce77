//! The tokio runtime: one a process, made when there is first something to wait for.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::fork;
use crate::process::PerProcess;

static RUNTIME: PerProcess<std::io::Result<Runtime>> = PerProcess::new();

/// One worker: everything here waits for the network. Files and processes have tokio's blocking threads,
/// which end by themselves when idle.
pub fn handle() -> Result<&'static Handle> {
    let made = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pgiam")
            .enable_all()
            .build()
    });
    match made {
        Ok(runtime) => Ok(runtime.handle()),
        Err(error) => Err(Error::transport(
            format!("no thread could be started: {error}"),
            "Raise the limit on threads or open files of this process.",
        )),
    }
}

pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>> {
    Ok(handle()?.spawn(fork::stepwise(future)))
}
