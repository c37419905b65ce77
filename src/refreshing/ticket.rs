//! Waiting for a fetch that somebody runs.

use std::future::Future;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Entry;
use crate::clock::{self, Time};
use crate::error::Error;

/// How long callers wait for a fetch if there is something that they could do with instead.
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
    pub(super) otherwise: Otherwise,
    /// When that fetch began.
    pub(super) begun: Time,
}

/// What those get whom the fetch lets wait.
#[derive(Clone)]
pub(super) enum Otherwise {
    /// They wait for as long as it takes.
    Nothing,
    /// What still signs, also should the fetch fail.
    Present(Arc<Entry>),
    /// What became of the attempt before: nobody hangs at a source that has stopped answering.
    Failed(Error),
}

impl Ticket {
    pub(super) fn ready(entry: Arc<Entry>, now: Time) -> Self {
        Self {
            outcome: watch::channel(Some(Outcome::Ready(entry))).1,
            otherwise: Otherwise::Nothing,
            begun: now,
        }
    }

    /// True if what one brings will do for the other.
    pub fn waits_like(&self, other: &Ticket) -> bool {
        self.outcome.same_channel(&other.outcome)
            && discriminant(&self.otherwise) == discriminant(&other.otherwise)
    }

    pub async fn outcome(self) -> Outcome {
        let now = clock::now();
        // Counted from the begin of the fetch, so that only its first callers are patient.
        let patience = now.until(self.begun + PATIENCE);
        let arrival = arrived(self.outcome);
        match self.otherwise {
            Otherwise::Nothing => arrival.await,
            Otherwise::Failed(error) => {
                let late = |_| Outcome::Failed(error);
                timeout(patience, arrival).await.unwrap_or_else(late)
            }
            Otherwise::Present(entry) => or_present(entry, arrival, patience).await,
        }
    }
}

async fn or_present(
    present: Arc<Entry>,
    arrival: impl Future<Output = Outcome>,
    patience: Duration,
) -> Outcome {
    let life = present
        .lease
        .valid_until
        .map_or(Duration::MAX, |end| clock::now().until(end));
    // Never to the very end.
    match timeout(patience.min(life / 2), arrival).await {
        Ok(Outcome::Ready(new)) => Outcome::Ready(new),
        other if present.is_valid(clock::now()) => {
            drop(other);
            Outcome::Ready(present)
        }
        Ok(outcome) => outcome,
        // The last second of its life went by meanwhile.
        Err(_) => Outcome::Abandoned,
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
