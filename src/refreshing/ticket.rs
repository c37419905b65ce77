//! Waiting for a fetch that somebody runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Entry;
use crate::clock::{self, Time};
use crate::error::Error;

/// How long callers wait for new credentials while the present ones would still do.
const PATIENCE: Duration = Duration::from_secs(3);

/// What those who waited get.
#[derive(Clone)]
pub enum Outcome {
    Ready(Arc<Entry>),
    Failed(Error),
    /// Nobody finished it: start anew.
    Abandoned,
}

/// A place in the queue for the one fetch that is under way.
#[derive(Clone)]
pub struct Ticket {
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    /// What still signs, should that fetch fail or take long.
    pub(super) fallback: Option<Arc<Entry>>,
    /// When that fetch began.
    pub(super) begun: Time,
}

impl Ticket {
    pub(super) fn ready(entry: Arc<Entry>, now: Time) -> Self {
        Self {
            outcome: watch::channel(Some(Outcome::Ready(entry))).1,
            fallback: None,
            begun: now,
        }
    }

    /// True if what one brings will do for the other.
    pub fn waits_like(&self, other: &Ticket) -> bool {
        self.outcome.same_channel(&other.outcome) && self.fallback.is_some() == other.fallback.is_some()
    }

    pub async fn outcome(self) -> Outcome {
        let Some(fallback) = self.fallback else {
            return arrived(self.outcome).await;
        };
        let now = clock::now();
        // Counted from the begin of the fetch, so that only its first callers are patient, and never to the
        // very end.
        let life = fallback
            .lease
            .valid_until
            .map_or(PATIENCE, |end| now.until(end) / 2);
        let patience = now.until(self.begun + PATIENCE).min(life);
        match tokio::time::timeout(patience, arrived(self.outcome)).await {
            Ok(Outcome::Ready(entry)) => Outcome::Ready(entry),
            other if fallback.is_valid(clock::now()) => {
                drop(other);
                Outcome::Ready(fallback)
            }
            Ok(outcome) => outcome,
            // The last second of its life went by meanwhile.
            Err(_) => Outcome::Abandoned,
        }
    }
}

async fn arrived(mut receiver: watch::Receiver<Option<Outcome>>) -> Outcome {
    let outcome = receiver.wait_for(Option::is_some).await;
    match outcome.map(|outcome| outcome.clone()) {
        Ok(Some(outcome)) => outcome,
        // The sender is gone: the fetch panicked.
        Ok(None) | Err(_) => Outcome::Abandoned,
    }
}
