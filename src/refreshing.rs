//! The stateful half of the cache: holds the present credentials, lets one fetch run at a time, and lets
//! everybody else wait for that one. What to do when is decided in `cache.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::cache::{self, Decision, Lease, SetBack};
use crate::clock::{self, Anchor, ClockOffset, Time};
use crate::credentials::{Caller, Credentials, Failure, Fetch, Source};
use crate::error::{Error, Result};
use crate::process::PerProcess;
use crate::random;
use crate::runtime;
use crate::token::Signer;

mod flight;
#[cfg(test)]
mod tests;
mod ticket;

use flight::{Flight, Running};
use ticket::Otherwise;
pub use ticket::{Outcome, Ticket};

/// No source is waited for longer. The AWS sources have shorter limits of their own; this one is for a
/// callable that hangs.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials ready to sign, and how long they are good for.
pub struct Entry {
    pub signer: Signer,
    pub lease: Lease,
    /// Where the clock was off: since when.
    anchor: Option<Anchor>,
}

impl Entry {
    fn is_valid(&self, now: Time) -> bool {
        self.lease.valid_until.is_none_or(|end| now < end) && !self.has_lost_its_time(now)
    }

    /// True if nobody can say any more what AWS's time is: the wall clock has been set.
    fn has_lost_its_time(&self, now: Time) -> bool {
        self.anchor
            .is_some_and(|anchor| anchor.has_slipped(now, clock::steady()))
    }

    /// AWS's time, as well as it is known: what signatures must say.
    pub fn true_time(&self, now: Time) -> Time {
        self.signer.credentials().clock_offset.corrected(now)
    }
}

/// Told of what happens where no caller waits.
pub trait Observer: Send + Sync + 'static {
    fn early_refresh_failed(&self, error: &Error, valid_until: Option<Time>);
}

#[derive(Default)]
pub struct Counters {
    pub refreshes: AtomicU64,
    pub refresh_failures: AtomicU64,
    pub waits: AtomicU64,
    last_refresh: AtomicI64,
}

impl Counters {
    pub fn last_refresh(&self) -> Option<Time> {
        let millis = self.last_refresh.load(Ordering::Relaxed);
        (millis != 0).then(|| Time::from_millis(millis))
    }
}

/// A clone shares everything.
#[derive(Clone)]
pub struct Refreshing {
    shared: Arc<Shared>,
}

struct Shared {
    source: Arc<dyn Source>,
    observer: Arc<dyn Observer>,
    entry: ArcSwapOption<Entry>,
    /// Counts `invalidate` calls, so that a fetch begun before one cannot bring the old answer back.
    generation: AtomicU64,
    counters: Counters,
    flight: PerProcess<Flight>,
}

impl Refreshing {
    pub fn new(source: Arc<dyn Source>, observer: Arc<dyn Observer>) -> Self {
        Self {
            shared: Arc::new(Shared {
                source,
                observer,
                entry: ArcSwapOption::empty(),
                generation: AtomicU64::new(0),
                counters: Counters::default(),
                flight: PerProcess::new(),
            }),
        }
    }

    pub fn source(&self) -> &Arc<dyn Source> {
        &self.shared.source
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Whatever is held, valid or not.
    pub fn present(&self) -> Option<Arc<Entry>> {
        self.shared.entry.load_full()
    }

    /// Something to sign with, if there is any without waiting. In the early window this starts the one
    /// refresh, and does not wait for it.
    pub fn usable(&self, caller: Caller, now: Time) -> Option<Arc<Entry>> {
        let entry = self.shared.entry.load_full();
        if let Some(entry) = &entry
            && now < entry.lease.fresh_until()
            && now >= entry.lease.obtained_at
            && entry.anchor.is_none()
        {
            return Some(Arc::clone(entry));
        }
        self.look_closer(entry, caller, now)
    }

    fn look_closer(&self, entry: Option<Arc<Entry>>, caller: Caller, now: Time) -> Option<Arc<Entry>> {
        let spread = self.shared.flight().spread;
        let decision = entry.as_ref().map(|entry| {
            if entry.has_lost_its_time(now) {
                return Decision::Wait;
            }
            entry.lease.decide(now, spread)
        });
        match decision {
            Some(Decision::Use) => entry,
            Some(Decision::UseAndRefresh) => {
                if self.shared.is_backing_off(now) {
                    return entry;
                }
                match self.shared.fetch_at_hand(now) {
                    Some(Ok(new)) => Some(new),
                    Some(Err(error)) => {
                        self.shared.failed(&error, now);
                        entry
                    }
                    None => {
                        // Both ends of the early window are somebody else's to report: a failure to
                        // start is remembered like a failed fetch.
                        if let Err(error) = self.start(caller, now) {
                            self.shared.observer.early_refresh_failed(&error, None);
                        }
                        entry
                    }
                }
            }
            Some(Decision::Wait) | None => match self.shared.fetch_at_hand(now) {
                Some(answer) => answer.ok(),
                // STS has been down for all of the early window: nobody has to know before the end.
                None if self.shared.is_backing_off(now) => entry.filter(|entry| entry.is_valid(now)),
                None => None,
            },
        }
    }

    /// As `start`, for whoever could still make do with the present credentials for the rest of their life.
    pub fn wait(&self, caller: Caller, now: Time) -> Result<Ticket> {
        let fallback = self.present().filter(|entry| entry.is_valid(now));
        match (self.start(caller, now), fallback) {
            (Ok(ticket), Some(entry)) => Ok(Ticket {
                otherwise: Otherwise::Present(entry),
                ..ticket
            }),
            (Ok(ticket), None) => Ok(ticket),
            // It failed between the caller's look at the credentials and now.
            (Err(_), Some(entry)) => Ok(Ticket::ready(entry, now)),
            (Err(error), None) => Err(error),
        }
    }

    /// Joins the fetch that is under way, or begins one. Right after a failure the same error comes back
    /// at once, so that a service which cannot log in says so instead of piling up waiters.
    pub fn start(&self, caller: Caller, now: Time) -> Result<Ticket> {
        self.begin(caller, now, false)
    }

    /// As `start`, for whoever wants newer credentials than the present ones whatever these are.
    pub fn renew(&self, caller: Caller, now: Time) -> Result<Ticket> {
        self.shared.forget_failure();
        self.begin(caller, now, true)
    }

    fn begin(&self, caller: Caller, now: Time, renew: bool) -> Result<Ticket> {
        let shared = &self.shared;
        let generation = shared.generation.load(Ordering::Acquire);
        let ended = self.present().and_then(|entry| entry.lease.valid_until);
        let (sender, otherwise, earlier) = {
            let mut state = shared.flight().lock();
            let otherwise = match &state.set_back {
                Some((set_back, error)) if set_back.is_of_late(now) => Otherwise::Failed(error.clone()),
                _ => Otherwise::Nothing,
            };
            if let Some(running) = &state.running
                && running.generation == generation
                && running.outcome.has_changed().is_ok()
            {
                return Ok(Ticket {
                    outcome: running.outcome.clone(),
                    otherwise,
                    begun: running.begun,
                });
            }
            // A fetch may have ended between the caller's look at the credentials and now.
            if !renew
                && let Some(entry) = self.present()
                && entry.lease.obtained_at >= now
                && entry.is_valid(clock::now())
            {
                return Ok(Ticket::ready(entry, now));
            }
            if let Some((set_back, error)) = &state.set_back
                && set_back.answers(now, ended)
            {
                return Err(error.clone());
            }
            let (sender, outcome) = watch::channel(None);
            let earlier = state.running.replace(Running {
                generation,
                begun: now,
                outcome,
            });
            (sender, otherwise, earlier)
        };
        drop(earlier);
        let ticket = Ticket {
            outcome: sender.subscribe(),
            otherwise,
            begun: now,
        };
        // Outside the lock: a source may run Python here.
        let fetch = shared.source.fetch(caller);
        let flight = Arc::clone(shared);
        runtime::spawn(async move { flight.run(fetch, generation, sender).await })?;
        Ok(ticket)
    }

    /// Forgets the credentials, and the failure that may be held against the source.
    pub fn invalidate(&self) {
        {
            let _state = self.shared.flight().lock();
            self.shared.generation.fetch_add(1, Ordering::AcqRel);
            self.shared.entry.store(None);
        }
        self.shared.forget_failure();
    }
}

impl Shared {
    fn flight(&self) -> &Flight {
        self.flight.get_or_init(Flight::new)
    }

    fn is_backing_off(&self, now: Time) -> bool {
        let state = self.flight().lock();
        state
            .set_back
            .as_ref()
            .is_some_and(|(set_back, _)| set_back.holds_back(now))
    }

    fn forget_failure(&self) {
        let forgotten = {
            let mut state = self.flight().lock();
            state.failures = 0;
            state.set_back.take()
        };
        drop(forgotten);
    }

    fn fetch_at_hand(&self, now: Time) -> Option<Result<Arc<Entry>>> {
        let generation = self.generation.load(Ordering::Acquire);
        let answer = self.source.at_hand()?;
        Some(answer.and_then(|credentials| self.keep(credentials, generation, now)))
    }

    async fn run(&self, fetch: Fetch, generation: u64, sender: watch::Sender<Option<Outcome>>) {
        let answer = tokio::time::timeout(FETCH_TIMEOUT, fetch).await;
        let now = clock::now();
        let outcome = match answer {
            Ok(Ok(credentials)) => match self.keep(credentials, generation, now) {
                Ok(entry) => Outcome::Ready(entry),
                Err(error) => Outcome::Failed(error),
            },
            Ok(Err(Failure::Failed(error))) => Outcome::Failed(error),
            Ok(Err(Failure::Abandoned)) => Outcome::Abandoned,
            Err(_) => Outcome::Failed(Error::transport(
                format!(
                    "the credential source did not answer within {} s",
                    FETCH_TIMEOUT.as_secs()
                ),
                "Give the source a time-out of its own; pgiam tries again at the next use.",
            )),
        };
        if let Outcome::Failed(error) = &outcome {
            self.failed(error, now);
        }
        let landed = {
            let mut state = self.flight().lock();
            state.running.take_if(|running| running.generation == generation)
        };
        drop(landed);
        // Nobody may be waiting: an early refresh has no waiters.
        sender.send_replace(Some(outcome));
    }

    fn keep(&self, credentials: Credentials, generation: u64, now: Time) -> Result<Arc<Entry>> {
        let credentials = credentials.check()?;
        let offset = credentials.clock_offset;
        let lease = Lease {
            obtained_at: now,
            // By this machine's clock, which is what it will be compared with.
            valid_until: credentials.expires_at.map(|end| offset.local_end(end)),
            is_constant: self.source.is_constant(),
        };
        if let Some(end) = lease.valid_until
            && end <= now
        {
            return Err(Error::credentials(
                format!(
                    "{} gave credentials that expired at {}; it is {}",
                    credentials.source,
                    offset.corrected(end),
                    offset.corrected(now)
                ),
                "Renew them at their source, and check this machine's clock.",
            ));
        }
        let entry = Arc::new(Entry {
            signer: Signer::new(credentials),
            lease,
            anchor: (offset != ClockOffset::NONE).then(|| Anchor::new(now, clock::steady())),
        });
        {
            // Else an `invalidate` could come between the look and the store.
            let _state = self.flight().lock();
            if self.generation.load(Ordering::Acquire) == generation {
                self.entry.store(Some(Arc::clone(&entry)));
            }
        }
        self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
        self.counters.last_refresh.store(now.millis(), Ordering::Relaxed);
        self.forget_failure();
        Ok(entry)
    }

    fn failed(&self, error: &Error, now: Time) {
        self.counters.refresh_failures.fetch_add(1, Ordering::Relaxed);
        let earlier = {
            let mut state = self.flight().lock();
            state.failures = state.failures.saturating_add(1);
            let set_back = SetBack {
                failed_at: now,
                not_before: now + cache::back_off(state.failures, random::unit()),
            };
            state.set_back.replace((set_back, error.clone()))
        };
        drop(earlier);
        let present = self.entry.load_full();
        if let Some(entry) = present
            && entry.lease.valid_until.is_none_or(|end| now < end)
        {
            self.observer.early_refresh_failed(error, entry.lease.valid_until);
        }
    }
}
