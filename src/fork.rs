//! A forked child has the memory of its parent, and of its threads only the one that forked. What another thread was
//! making at that moment stays half made there, and whoever needs it waits for ever: the SDK and its like keep tables and
//! certificates in statics of that kind. So no work of ours is in the middle of a step while the process forks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::process::PerProcess;

/// Steps are short: at most certificates are read in one. Whoever is not told that a fork is over goes on after this
/// time, too.
const PATIENCE: Duration = Duration::from_secs(5);

static GATE: PerProcess<Gate> = PerProcess::new();

#[derive(Default)]
struct Gate {
    traffic: Mutex<Traffic>,
    changed: Condvar,
}

#[derive(Default)]
struct Traffic {
    steps: usize,
    forks: usize,
}

impl Gate {
    fn here() -> &'static Self {
        GATE.get_or_init(Self::default)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step that no fork cuts in two. Never taken with the GIL held: a thread that forks may wait for the GIL.
pub struct Step(&'static Gate);

impl Step {
    pub fn begin() -> Self {
        let gate = Gate::here();
        let mut traffic = gate.traffic();
        if traffic.forks > 0 {
            let waited = gate
                .changed
                .wait_timeout_while(traffic, PATIENCE, |traffic| traffic.forks > 0);
            traffic = waited.unwrap_or_else(PoisonError::into_inner).0;
            traffic.forks = 0;
        }
        traffic.steps += 1;
        drop(traffic);
        Self(gate)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let mut traffic = self.0.traffic();
        traffic.steps -= 1;
        if traffic.forks > 0 {
            self.0.changed.notify_all();
        }
    }
}

/// From now on no step begins. True if none is under way.
pub fn is_near() -> bool {
    let mut traffic = Gate::here().traffic();
    traffic.forks += 1;
    traffic.steps == 0
}

/// Waits for the steps under way.
pub fn wait_for_steps() {
    let gate = Gate::here();
    let traffic = gate.traffic();
    // Whoever takes longer than that waits for the program, which waits here.
    drop(
        gate.changed
            .wait_timeout_while(traffic, PATIENCE, |traffic| traffic.steps > 0),
    );
}

/// In the parent. A child has a gate of its own.
pub fn is_over() {
    let gate = Gate::here();
    let mut traffic = gate.traffic();
    traffic.forks = traffic.forks.saturating_sub(1);
    gate.changed.notify_all();
}

/// Each poll of `future` is one step.
pub fn stepwise<F: Future>(future: F) -> Stepwise<F> {
    Stepwise(Box::pin(future))
}

pub struct Stepwise<F>(Pin<Box<F>>);

impl<F: Future> Future for Stepwise<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _step = Step::begin();
        self.0.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    // One test: the gate is the process's.
    #[test]
    fn a_fork_waits_for_steps_and_steps_for_a_fork() {
        assert!(is_near());
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _step = Step::begin();
                begun.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(20));
                begun.store(false, Ordering::SeqCst);
            });
            thread::sleep(Duration::from_millis(20));
            assert!(!begun.load(Ordering::SeqCst));
            is_over();
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            assert!(!is_near());
            wait_for_steps();
            assert!(!begun.load(Ordering::SeqCst));
            is_over();
        });
    }
}
