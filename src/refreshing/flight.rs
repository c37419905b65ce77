//! What a process knows of its own fetches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ticket::Outcome;
use crate::cache::SetBack;
use crate::clock::Time;
use crate::error::Error;
use crate::random;

pub struct Flight {
    state: Mutex<FlightState>,
    pub spread: f64,
}

/// What is taken out is dropped after the lock is released: an error may be the last to hold a Python exception,
/// and that one objects whose `__del__` runs anything, this client included.
#[derive(Default)]
pub struct FlightState {
    pub running: Option<Running>,
    pub failures: u32,
    pub set_back: Option<(SetBack, Error)>,
}

pub struct Running {
    pub generation: u64,
    pub begun: Time,
    pub outcome: watch::Receiver<Option<Outcome>>,
}

impl Flight {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            spread: random::unit(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, FlightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
