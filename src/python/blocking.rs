//! Waiting on a thread of Python's: with the GIL released, and open to Ctrl-C.

use std::future::Future;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fork;
use crate::process::PerProcess;
use crate::python::convert::raised;
use crate::python::exit;
use crate::runtime;

/// How often the main thread looks for Ctrl-C: soon at first, then seldom.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const SELDOM_LOOK: Duration = Duration::from_millis(400);

pub fn blocked<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let handle = runtime::handle().map_err(raised)?;
    let mut future = fork::stepwise(future);
    let mut wait = async |patience: Option<Duration>| match patience {
        Some(patience) => tokio::time::timeout(patience, &mut future).await.ok(),
        None => Some((&mut future).await),
    };
    let mut patience = Some(FIRST_LOOK);
    loop {
        let (done, _turn) = py.detach(|| {
            let done = handle.block_on(wait(patience));
            let turn = handle.block_on(turn());
            // Last: the GIL is asked for right after it.
            exit::stay_away_if_closing();
            (done, turn)
        });
        if let Some(answer) = done {
            return Ok(answer);
        }
        patience = if is_main_thread(py)? {
            py.check_signals()?;
            patience.map(|patience| (patience * 2).min(SELDOM_LOOK))
        } else {
            None
        };
    }
}

/// One thread after the other asks for the GIL. If a thousand did when their fetch ends, an event loop among them would
/// get it after most of them.
static TURNSTILE: PerProcess<Semaphore> = PerProcess::new();

/// Not waited for long: a thread that had its turn may be held up before it has the GIL.
const LONG_FOR_A_TURN: Duration = Duration::from_millis(100);

async fn turn() -> Option<SemaphorePermit<'static>> {
    let turnstile = TURNSTILE.get_or_init(|| Semaphore::new(1));
    let turn = tokio::time::timeout(LONG_FOR_A_TURN, turnstile.acquire()).await;
    turn.ok().and_then(Result::ok)
}

/// Python shows signals to its main thread alone. The others, of which there may be a thousand, need not ask
/// for the GIL again and again.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}
